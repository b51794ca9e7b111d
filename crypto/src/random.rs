//! The one place where randomness comes in: the operating system's, and nothing else's.

use zeroize::Zeroizing;

use crate::error::Error;

/// Fills a fixed number of bytes that are wiped when dropped.
///
/// # Errors
/// [`Error::Randomness`] if the system has none.
pub fn random_secret<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    fill(bytes.as_mut())?;
    Ok(bytes)
}

/// Random bytes that are not secret: ids and nonces.
///
/// # Errors
/// [`Error::Randomness`] if the system has none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(not(feature = "simulation"))]
fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|_| Error::Randomness)
}

#[cfg(feature = "simulation")]
use crate::simulation::fill;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two draws differ, and neither is the zeros it started from.
    #[test]
    fn draws_differ() {
        let (a, b) = (random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
        assert_ne!(a, b);
        assert_ne!(*random_secret::<32>().unwrap(), [0; 32]);
    }
}
