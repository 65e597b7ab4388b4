//! Random draws that a seed repeats.

/// A small generator (xorshift, scrambled by a multiplication); its quality is enough for tests.
#[derive(Debug, Clone)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds begin far apart, and none at zero, which would stay there.
        let mut draw = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d);
        if draw.0 == 0 {
            draw.0 = 1;
        }
        for _ in 0..4 {
            draw.next();
        }
        draw
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // The high bits of the product: the bias is far below what a test could see.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// True with this chance. Certain and impossible things draw nothing.
    pub(super) fn happens(&mut self, chance: f64) -> bool {
        if chance <= 0.0 {
            return false;
        }
        chance >= 1.0 || (self.next() >> 11) as f64 / ((1_u64 << 53) as f64) < chance
    }
}
