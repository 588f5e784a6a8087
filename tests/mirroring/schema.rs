//! Checks values with a JSON schema: the keywords that `docs/tinotify.schema.json` uses, and no others.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::{Map, Value};

pub struct Schema(Value);

type Checked = Result<(), String>;

impl Schema {
    pub fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    /// Checks a value with the whole schema.
    pub fn check(&self, value: &Value) -> Checked {
        self.check_with(&self.0, value)
    }

    /// Returns all words of `events`.
    pub fn words(&self) -> BTreeSet<String> {
        let kinds = self.0["$defs"].as_object().unwrap().values();
        let mut words = BTreeSet::new();
        for events in kinds.filter_map(|kind| kind.pointer("/properties/events")) {
            let prefix = events["prefixItems"].as_array().into_iter().flatten();
            for item in prefix.chain(events.get("items")) {
                let several = item["enum"].as_array().into_iter().flatten();
                let word = several.chain(item.get("const")).map(|word| word.as_str().unwrap());
                words.extend(word.map(str::to_owned));
            }
        }
        words
    }

    fn check_with(&self, schema: &Value, value: &Value) -> Checked {
        match schema {
            Value::Bool(true) => Ok(()),
            Value::Object(keywords) => keywords
                .iter()
                .try_for_each(|(keyword, rule)| self.keyword(keywords, keyword, rule, value)),
            _ => Err(format!("nothing is allowed here: {value}")),
        }
    }

    fn keyword(
        &self,
        all: &Map<String, Value>,
        name: &str,
        rule: &Value,
        value: &Value,
    ) -> Checked {
        let number = || rule.as_f64().unwrap();
        let holds = match name {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let rule = self.0.pointer(rule.as_str().unwrap().trim_start_matches('#'));
                return self.check_with(rule.unwrap(), value);
            }
            "oneOf" => {
                let kinds = rule.as_array().unwrap().iter();
                let faults: Vec<_> =
                    kinds.filter_map(|kind| self.check_with(kind, value).err()).collect();
                return match rule.as_array().unwrap().len() - faults.len() {
                    1 => Ok(()),
                    count => Err(format!("{count} kinds match: {faults:?}")),
                };
            }
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "number" => value.is_number(),
                "integer" => value.is_u64(),
                other => panic!("unknown type: {other}"),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|value| value >= number()),
            "maximum" => value.as_f64().is_none_or(|value| value <= number()),
            "minLength" => value.as_str().is_none_or(|text| text.len() as f64 >= number()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as f64 >= number()),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => {
                let mut keys = rule.as_array().unwrap().iter();
                keys.all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "properties" | "additionalProperties" | "prefixItems" | "items" => {
                return self.parts(all, name, rule, value);
            }
            other => panic!("the keyword {other} is not checked"),
        };
        if holds { Ok(()) } else { Err(format!("{name} {rule} does not hold for {value}")) }
    }

    /// Checks the parts of an object or an array that a keyword is about.
    fn parts(&self, all: &Map<String, Value>, name: &str, rule: &Value, value: &Value) -> Checked {
        let prefix = all.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
        let items = || value.as_array().into_iter().flatten();
        let fields = || value.as_object().into_iter().flatten();
        match name {
            "properties" => fields()
                .filter_map(|(key, value)| Some((rule.get(key)?, value)))
                .try_for_each(|(rule, value)| self.check_with(rule, value)),
            "additionalProperties" => fields()
                .filter(|(key, _)| all["properties"].get(key.as_str()).is_none())
                .try_for_each(|(key, _)| self.check_with(rule, &Value::from(key.as_str()))),
            "prefixItems" => items()
                .zip(rule.as_array().unwrap())
                .try_for_each(|(value, rule)| self.check_with(rule, value)),
            _ => items().skip(prefix).try_for_each(|value| self.check_with(rule, value)),
        }
    }
}
