//! Randomness for guests: one generator for each task, from a seed of the system's that is kept with the attempt.
//!
//! ChaCha with 12 rounds, as the system's own generators use it. Keeping the seed instead of the bytes is what makes a replay cheap;
//! whoever can read the journal can work out what an agent drew, as they can read everything else that it did.

use chacha20::ChaCha12Rng;
use rand::{Rng as _, SeedableRng as _};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::task::Task;
use crate::failure::{Failure, FailureKind};

impl Task {
    fn rng(&mut self) -> wasmtime::Result<&mut ChaCha12Rng> {
        if self.random.is_none() {
            let seed = self.errand.tape.seed(rand::random)?;
            self.random = Some(Box::new(ChaCha12Rng::from_seed(seed)));
        }
        // Made just above; a seed of zeros is never used.
        Ok(self
            .random
            .get_or_insert_with(|| Box::new(ChaCha12Rng::from_seed([0; 32]))))
    }

    fn draw(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.calls.count();
        let limit = self.plugin.limits.random;
        if len > limit.0 {
            let message = format!(
                "the guest asked for {len} random bytes at once; `limits.random` allows {limit}"
            );
            return Err(Failure::new(FailureKind::Quota, message).into());
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        self.rng()?.fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> wasmtime::Result<u64> {
        self.calls.count();
        Ok(self.rng()?.next_u64())
    }
}

impl random::Host for Task {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.draw(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.number()
    }
}

impl insecure::Host for Task {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.draw(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.number()
    }
}

impl insecure_seed::Host for Task {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.number()?, self.number()?))
    }
}
