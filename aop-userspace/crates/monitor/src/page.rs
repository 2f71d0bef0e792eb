//! The pages that the monitor serves, as the daemon or `aop fleet page` makes them.

/// The media type of a page of text.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// All pages of one daemon.
pub trait Pages: Send + Sync + 'static {
    /// `/healthz`: whether the daemon is alive.
    fn health(&self) -> impl Future<Output = Page> + Send;

    /// `/readyz`: whether it can serve, and if not, why.
    fn readiness(&self) -> impl Future<Output = Page> + Send;

    /// `/metrics`, in a format that the client's `accept` header allows. It is empty if the client
    /// sent none.
    fn metrics(&self, accept: &str) -> impl Future<Output = Page> + Send;

    /// The data of the status page, in JSON.
    fn overview(&self) -> impl Future<Output = Page> + Send;
}

/// The data of a fleet, in JSON.
pub trait FleetPages: Send + Sync + 'static {
    /// `/page.json`: the data of the page.
    fn overview(&self) -> impl Future<Output = Page> + Send;

    /// `/fleet.json`: what is known of all hosts, or of the one of this name.
    fn report(&self, host: Option<&str>) -> impl Future<Output = Page> + Send;
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The answer in short.
    pub status: PageStatus,
    /// The media type of `body`.
    pub content_type: &'static str,
    /// The content.
    pub body: String,
}

/// The answer in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// Yes: 200.
    Good,
    /// No, and the page says why: 503.
    Unavailable,
    /// The page cannot be made: 500.
    Failed,
}

impl PageStatus {
    /// The status code of HTTP.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Good => 200,
            Self::Unavailable => 503,
            Self::Failed => 500,
        }
    }
}

impl Page {
    /// A page of one text, which ends with a newline.
    #[must_use]
    pub fn text(status: PageStatus, text: &str) -> Self {
        Self { status, content_type: TEXT, body: format!("{text}\n") }
    }

    /// A document.
    #[must_use]
    pub fn json(body: String) -> Self {
        Self { status: PageStatus::Good, content_type: "application/json", body }
    }
}
