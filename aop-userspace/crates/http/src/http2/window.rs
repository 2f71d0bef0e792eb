//! Flow-control windows (RFC 9113, 5.2 and 6.9).

/// The window of a stream and of a connection before anything is announced.
pub(super) const INITIAL: u32 = 65_535;
/// The largest window.
pub(super) const LARGEST: u32 = i32::MAX.cast_unsigned();

/// The number of bytes that the peer lets this side send. A change of the peer's settings can make
/// it negative (RFC 9113, 6.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SendWindow(i32);

/// A window above 2^31-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// Whether a writer that had no room has some again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reopened {
    No,
    Yes,
}

impl SendWindow {
    pub(super) fn new(bytes: u32) -> Self {
        Self(i32::try_from(bytes).unwrap_or(i32::MAX))
    }

    pub(super) fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Uses a part of what is available.
    pub(super) fn take(&mut self, bytes: usize) {
        self.0 -= i32::try_from(bytes.min(self.available())).unwrap_or(i32::MAX);
    }

    /// Changes the window by as much.
    pub(super) fn shift(&mut self, by: i64) -> Result<Reopened, Overflow> {
        let new = i32::try_from(i64::from(self.0) + by).map_err(|_| Overflow)?;
        let reopened = self.0 <= 0 && new > 0;
        self.0 = new;
        Ok(if reopened { Reopened::Yes } else { Reopened::No })
    }
}

/// The number of bytes that the peer may send, and those that it gets back with the next update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiveWindow {
    left: u32,
    consumed: u32,
}

impl ReceiveWindow {
    pub(super) const fn new(size: u32) -> Self {
        Self { left: size, consumed: 0 }
    }

    /// Counts bytes of the peer.
    pub(super) fn receive(&mut self, bytes: u32) -> Result<(), Overflow> {
        self.left = self.left.checked_sub(bytes).ok_or(Overflow)?;
        Ok(())
    }

    /// Gives bytes back to a window of `size`. `Some`: the increment of an update that is due. It
    /// waits until half of the window is consumed, so that few frames are needed.
    pub(super) fn consume(&mut self, bytes: usize, size: u32) -> Option<u32> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let most = size.saturating_sub(self.left);
        self.consumed = self.consumed.saturating_add(bytes).min(most);
        if self.consumed < size.div_ceil(2) {
            return None;
        }
        self.left += self.consumed;
        Some(std::mem::take(&mut self.consumed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_may_be_negative_and_is_never_too_large() {
        let mut window = SendWindow::new(100);
        window.take(60);
        assert_eq!(window.shift(-100), Ok(Reopened::No));
        assert_eq!((window.available(), window), (0, SendWindow(-60)));
        assert_eq!(window.shift(60), Ok(Reopened::No));
        assert_eq!(window.shift(1), Ok(Reopened::Yes));
        assert_eq!(window.shift(1), Ok(Reopened::No));
        assert_eq!(window.shift(i64::from(LARGEST) - 2), Ok(Reopened::No));
        assert_eq!(window.shift(1), Err(Overflow));
        assert_eq!(window.available(), LARGEST as usize);
    }

    #[test]
    fn credit_is_given_in_halves_and_never_above_the_window() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!(window.receive(101), Err(Overflow));
        assert_eq!(window.receive(80), Ok(()));
        assert_eq!(window.consume(49, 100), None);
        assert_eq!(window.consume(1, 100), Some(50));
        assert_eq!(window.receive(71), Err(Overflow));
        // More than was received is not given back.
        assert_eq!(window.consume(1_000, 100), None);
        assert_eq!(window.receive(70), Ok(()));
        assert_eq!(window.consume(1_000, 100), Some(100));
    }
}
