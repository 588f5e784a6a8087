//! A list that only grows, in pieces of equal size.

use alloc::vec::Vec;

use super::NONE;

/// Items in a piece.
const PIECE: usize = 512;

/// A list that only grows. It grows by whole pieces, so that growing neither copies nor doubles it.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Pieces<T> {
    pub const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    pub fn get(&self, id: u32) -> Option<&T> {
        self.pieces.get(id as usize / PIECE)?.get(id as usize % PIECE)
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.pieces.get_mut(id as usize / PIECE)?.get_mut(id as usize % PIECE)
    }

    /// Appends an item and returns its number.
    pub fn push(&mut self, item: T) -> u32 {
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let full = self.pieces.len().saturating_sub(1).saturating_mul(PIECE);
        let Some(piece) = self.pieces.last_mut() else { return NONE };
        piece.push(item);
        // Memory is exhausted long before the number of items exceeds a u32.
        full.saturating_add(piece.len()).saturating_sub(1) as u32
    }

    /// Returns the number of items.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }
}
