//! Ordered maps and sets with small keys.
//!
//! Each pair of types makes the compiler translate all of `BTreeMap` again, which is a good part of the time
//! that this crate takes to build. Keys and values that fit some bits share one pair here. Values of other types
//! are in a list, and the map has their numbers.

#![forbid(unsafe_code)]

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Bound;

use crate::event::Wd;

/// A key, in bits that have the same order.
pub(crate) trait Key: Copy {
    fn to_bits(self) -> u128;
    fn from_bits(bits: u128) -> Self;
}

/// A value of at most 64 bits.
pub(crate) trait Value: Copy {
    fn to_word(self) -> u64;
    fn from_word(word: u64) -> Self;
}

/// A map in the order of its keys. Keys and values are copied in and out.
pub(crate) struct KeyMap<K, V> {
    map: BTreeMap<u128, u64>,
    types: PhantomData<fn(K, V)>,
}

/// A set in the order of its keys.
pub(crate) type KeySet<K> = KeyMap<K, ()>;

impl<K: Key, V: Value> KeyMap<K, V> {
    pub const fn new() -> Self {
        Self { map: BTreeMap::new(), types: PhantomData }
    }

    /// Returns the previous value.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.map.insert(key.to_bits(), value.to_word()).map(V::from_word)
    }

    pub fn remove(&mut self, key: K) -> Option<V> {
        self.map.remove(&key.to_bits()).map(V::from_word)
    }

    pub fn get(&self, key: K) -> Option<V> {
        self.map.get(&key.to_bits()).copied().map(V::from_word)
    }

    pub fn contains(&self, key: K) -> bool {
        self.map.contains_key(&key.to_bits())
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.map.keys().copied().map(K::from_bits)
    }

    /// Returns the keys from `first` on.
    pub fn keys_from(&self, first: K) -> impl Iterator<Item = K> {
        self.map.range(first.to_bits()..).map(|(&key, _)| K::from_bits(key))
    }

    /// Returns the keys after `last`.
    pub fn keys_after(&self, last: K) -> impl Iterator<Item = K> {
        let after = (Bound::Excluded(last.to_bits()), Bound::Unbounded);
        self.map.range(after).map(|(&key, _)| K::from_bits(key))
    }

    pub fn last_key(&self) -> Option<K> {
        self.map.last_key_value().map(|(&key, _)| K::from_bits(key))
    }

    pub fn pop_first(&mut self) -> Option<K> {
        self.map.pop_first().map(|(key, _)| K::from_bits(key))
    }
}

#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
impl<K: Key> KeySet<K> {
    /// Moves all keys of `other` into this set.
    pub fn append(&mut self, other: &mut Self) {
        self.map.append(&mut other.map);
    }

    pub fn is_subset(&self, of: &Self) -> bool {
        self.keys().all(|key| of.contains(key))
    }

    /// Returns `true` if the key is new.
    pub fn add(&mut self, key: K) -> bool {
        self.insert(key, ()).is_none()
    }
}

/// A map in the order of its keys, with values of any type.
///
/// Invariant: each key has the number of a slot that is taken, and no other key has this number. All other slots
/// are in `vacant`. An empty table takes no memory.
pub(crate) struct Table<K, V> {
    numbers: KeyMap<K, u32>,
    slots: Vec<Option<V>>,
    vacant: Vec<u32>,
}

impl<K: Key, V> Table<K, V> {
    pub const fn new() -> Self {
        Self { numbers: KeyMap::new(), slots: Vec::new(), vacant: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.vacant.len())
    }

    pub fn contains(&self, key: K) -> bool {
        self.numbers.contains(key)
    }

    pub fn get(&self, key: K) -> Option<&V> {
        self.slots.get(self.numbers.get(key)? as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.slots.get_mut(self.numbers.get(key)? as usize)?.as_mut()
    }

    /// Returns the previous value.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(key) {
            return Some(core::mem::replace(old, value));
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Memory is exhausted long before the number of values exceeds a u32.
            self.slots.len().saturating_sub(1) as u32
        });
        if let Some(slot) = self.slots.get_mut(number as usize) {
            *slot = Some(value);
        }
        self.numbers.insert(key, number);
        None
    }

    pub fn remove(&mut self, key: K) -> Option<V> {
        let number = self.numbers.remove(key)?;
        let removed = self.slots.get_mut(number as usize)?.take();
        self.vacant.push(number);
        if self.is_empty() {
            // It may have been large, after an overflow for example.
            *self = Self::new();
        }
        removed
    }

    /// Changes the value of a key. Adds the default value first if the key is new.
    pub fn change(&mut self, key: K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        if !self.contains(key) {
            self.insert(key, V::default());
        }
        if let Some(value) = self.get_mut(key) {
            change(value);
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.numbers.keys()
    }

    /// Returns the keys from `first` on.
    pub fn keys_from(&self, first: K) -> impl Iterator<Item = K> {
        self.numbers.keys_from(first)
    }

    pub fn last_key(&self) -> Option<K> {
        self.numbers.last_key()
    }

    /// Returns the values in the order of their keys.
    pub fn into_values(mut self) -> impl Iterator<Item = V> {
        core::iter::from_fn(move || {
            let first = self.keys().next()?;
            self.remove(first)
        })
    }

    /// Returns the values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.keys().filter_map(|key| self.get(key))
    }

    /// Returns the values in any order, which takes less time.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
    pub fn values_unordered(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().flatten()
    }

    /// Returns the values in any order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.slots.iter_mut().flatten()
    }
}

impl<K, V> Default for KeyMap<K, V> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), types: PhantomData }
    }
}

impl<K: Key> Clone for KeySet<K> {
    fn clone(&self) -> Self {
        self.keys().collect()
    }
}

impl<K: Key> Extend<K> for KeySet<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        self.map.extend(keys.into_iter().map(|key| (key.to_bits(), 0)));
    }
}

impl<K: Key> FromIterator<K> for KeySet<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut set = Self::default();
        set.extend(keys);
        set
    }
}

impl<K: Key + fmt::Debug, V> fmt::Debug for KeyMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.map.keys().copied().map(K::from_bits)).finish()
    }
}

impl<K: Key, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key + fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys().zip(self.values())).finish()
    }
}

impl Key for u32 {
    fn to_bits(self) -> u128 {
        self.into()
    }

    fn from_bits(bits: u128) -> Self {
        bits as Self
    }
}

impl Key for i32 {
    fn to_bits(self) -> u128 {
        // Negative numbers come first.
        (self as u32 ^ (1 << 31)).into()
    }

    fn from_bits(bits: u128) -> Self {
        (bits as u32 ^ (1 << 31)) as Self
    }
}

impl Key for Wd {
    fn to_bits(self) -> u128 {
        self.as_raw().to_bits()
    }

    fn from_bits(bits: u128) -> Self {
        Self::from_raw(Key::from_bits(bits))
    }
}

impl Key for u64 {
    fn to_bits(self) -> u128 {
        self.into()
    }

    fn from_bits(bits: u128) -> Self {
        bits as Self
    }
}

/// The key takes at most 127 bits.
impl<K: Key> Key for Option<K> {
    fn to_bits(self) -> u128 {
        // `None` comes first.
        self.map_or(0, |key| key.to_bits().wrapping_add(1))
    }

    fn from_bits(bits: u128) -> Self {
        bits.checked_sub(1).map(K::from_bits)
    }
}

/// The second key takes at most 64 bits.
impl<A: Key, B: Key> Key for (A, B) {
    fn to_bits(self) -> u128 {
        self.0.to_bits() << 64 | self.1.to_bits()
    }

    fn from_bits(bits: u128) -> Self {
        (A::from_bits(bits >> 64), B::from_bits(bits & u128::from(u64::MAX)))
    }
}

impl Value for () {
    fn to_word(self) -> u64 {
        0
    }

    fn from_word(_: u64) {}
}

impl Value for bool {
    fn to_word(self) -> u64 {
        self.into()
    }

    fn from_word(word: u64) -> Self {
        word != 0
    }
}

impl Value for u32 {
    fn to_word(self) -> u64 {
        self.into()
    }

    fn from_word(word: u64) -> Self {
        word as Self
    }
}

impl Value for i32 {
    fn to_word(self) -> u64 {
        (self as u32).into()
    }

    fn from_word(word: u64) -> Self {
        word as Self
    }
}

impl Value for u64 {
    fn to_word(self) -> u64 {
        self
    }

    fn from_word(word: u64) -> Self {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    quickcheck::quickcheck! {
        fn a_table_is_a_map_in_the_order_of_its_keys(steps: Vec<(i32, u8, u8)>) -> bool {
            let (mut table, mut map) = (Table::new(), BTreeMap::new());
            for (key, value, step) in steps {
                // Few keys, so that they meet again.
                let key = key % 8;
                let is_same = match step % 3 {
                    0 => table.insert(key, value) == map.insert(key, value),
                    1 => table.remove(key) == map.remove(&key),
                    _ => {
                        table.change(key, |changed: &mut u8| *changed = changed.wrapping_add(value));
                        let changed = map.entry(key).or_default();
                        *changed = changed.wrapping_add(value);
                        true
                    }
                };
                if !is_same || table.get(key) != map.get(&key) || table.len() != map.len() {
                    return false;
                }
            }
            let mut unordered: Vec<u8> = table.values_unordered().copied().collect();
            unordered.sort_unstable();
            let mut sorted: Vec<u8> = map.values().copied().collect();
            sorted.sort_unstable();
            table.keys().eq(map.keys().copied())
                && unordered == sorted
                && table.keys_from(0).eq(map.range(0..).map(|(key, _)| *key))
                && table.last_key() == map.last_key_value().map(|(key, _)| *key)
                && table.values().eq(map.values())
                && table.is_empty() == map.is_empty()
                && table.into_values().eq(map.into_values())
        }
    }

    #[test]
    fn a_table_uses_its_slots_again_and_frees_them_when_it_is_empty() {
        let mut table = Table::new();
        for key in 0..100_u32 {
            table.insert(key, key);
            table.insert(key + 1, key);
            table.remove(key);
        }
        assert_eq!((table.len(), table.slots.len()), (1, 2));
        table.remove(100);
        assert_eq!((table.len(), table.slots.capacity(), table.vacant.capacity()), (0, 0, 0));
    }

    #[test]
    fn keys_have_the_order_of_their_types_and_come_back() {
        let numbers = [i32::MIN, -2, -1, 0, 1, i32::MAX];
        let set: KeySet<i32> = numbers.into_iter().rev().collect();
        assert!(set.keys().eq(numbers));
        let options = [None, Some(0_u32), Some(1), Some(u32::MAX)];
        let set: KeySet<Option<u32>> = options.into_iter().rev().collect();
        assert!(set.keys().eq(options));
        let mut pairs = [(1_u32, -1_i32), (1, 0), (1, 7), (2, i32::MIN), (u32::MAX, 3)];
        let set: KeySet<(u32, i32)> = pairs.into_iter().rev().collect();
        pairs.sort_unstable();
        assert!(set.keys().eq(pairs));
        assert!(set.keys_from((1, 0)).eq(pairs[1..].iter().copied()));
        assert!(set.keys_after((1, 0)).eq(pairs[2..].iter().copied()));
    }

    #[test]
    fn values_come_back() {
        let mut map = KeyMap::<u32, i32>::new();
        for value in [i32::MIN, -1, 0, i32::MAX] {
            map.insert(7, value);
            assert_eq!(map.get(7), Some(value));
        }
        assert_eq!(map.remove(7), Some(i32::MAX));
        assert!(map.is_empty() && map.get(7).is_none());
    }
}
