//! The source of each decision of a schedule: a seed, the bytes of a fuzzer, or a list that is being shrunk.

/// A stream of decisions. 0 is always the simplest one, and all decisions behind the end of a list are 0.
pub struct Choices {
    source: Source,
    /// The decisions so far, if they are recorded.
    kept: Option<Vec<u32>>,
}

enum Source {
    Seed(u64),
    List { list: Vec<u32>, at: usize },
}

impl Choices {
    pub fn seeded(seed: u64) -> Self {
        // Neighbouring seeds must give unrelated decisions.
        let source = Source::Seed(seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ 0xE703_7ED1_A0B4_28DB);
        Self { source, kept: None }
    }

    pub fn list(list: Vec<u32>) -> Self {
        Self { source: Source::List { list, at: 0 }, kept: None }
    }

    pub fn bytes(bytes: &[u8]) -> Self {
        Self::list(bytes.iter().map(|byte| u32::from(*byte)).collect())
    }

    /// Records the decisions from now on.
    pub fn keeping(self) -> Self {
        Self { kept: Some(Vec::new()), ..self }
    }

    pub fn kept(self) -> Vec<u32> {
        self.kept.unwrap_or_default()
    }

    /// Returns one of the numbers below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        let choice = match &mut self.source {
            Source::Seed(state) => {
                // splitmix64
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut word = *state;
                word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                let word = (word ^ (word >> 31)) >> 32;
                ((word * u64::from(end)) >> 32) as u32
            }
            Source::List { list, at } => {
                let choice = list.get(*at).copied().unwrap_or(0);
                *at += 1;
                choice % end
            }
        };
        if let Some(kept) = &mut self.kept {
            kept.push(choice);
        }
        choice
    }

    /// Returns `true` in `part` of `whole` cases. The simplest answer is `false`.
    pub fn chance(&mut self, part: u32, whole: u32) -> bool {
        part > 0 && self.below(whole) >= whole - part.min(whole)
    }

    pub fn pick<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        match among.len() {
            0 => None,
            len => Some(among[self.below(len as u32) as usize]),
        }
    }
}

/// Makes a list of choices shorter and simpler while it still fails.
pub fn shrink(mut list: Vec<u32>, mut fails: impl FnMut(&[u32]) -> bool) -> Vec<u32> {
    loop {
        let before = list.clone();
        let mut size = list.len().next_power_of_two();
        while size > 0 {
            let mut at = list.len().saturating_sub(size);
            loop {
                let end = (at + size).min(list.len());
                if at < end {
                    let mut shorter = list.clone();
                    shorter.drain(at..end);
                    if fails(&shorter) {
                        list = shorter;
                    } else if list[at..end].iter().any(|choice| *choice != 0) {
                        let mut simpler = list.clone();
                        simpler[at..end].fill(0);
                        if fails(&simpler) {
                            list = simpler;
                        }
                    }
                }
                if at == 0 {
                    break;
                }
                at = at.saturating_sub(size);
            }
            size /= 2;
        }
        for at in 0..list.len() {
            while list[at] > 0 {
                let mut simpler = list.clone();
                simpler[at] -= 1;
                if !fails(&simpler) {
                    break;
                }
                list = simpler;
            }
        }
        if list == before {
            return list;
        }
    }
}
