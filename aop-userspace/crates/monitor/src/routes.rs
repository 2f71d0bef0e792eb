//! The answer to each path.

use aop_config::StatusPage;
use aop_http::RequestHead;

use super::{
    browser_page::{DATA_POLICY, FLEET_PAGE, STATUS_PAGE},
    page::{FleetPages, Pages},
    request_host::names_this_host,
    response::{Response, with_page, with_policy, with_text},
};

/// All that one server answers. Only reading is possible.
pub(super) trait Routes: Send + Sync + 'static {
    /// The answer to GET.
    fn get(&self, request: &RequestHead) -> impl Future<Output = Response> + Send;
}

/// The pages of one host.
pub(super) struct HostRoutes<P> {
    pub(super) pages: P,
    pub(super) status_page: StatusPage,
}

/// The page of a fleet, and its data.
pub(super) struct FleetRoutes<P>(pub(super) P);

impl<P: Pages> Routes for HostRoutes<P> {
    async fn get(&self, request: &RequestHead) -> Response {
        let Self { pages, status_page } = self;
        match (target(request).0, status_page) {
            (b"/healthz", _) => with_page(pages.health().await),
            (b"/readyz", _) => with_page(pages.readiness().await),
            (b"/metrics", _) => {
                let accept = request.fields.first(b"accept").map(str::from_utf8);
                let accept = accept.and_then(Result::ok).unwrap_or_default();
                with_page(pages.metrics(accept).await)
            }
            (b"/" | b"/page.json", StatusPage::Served) if !names_this_host(request) => {
                with_text(421, FOREIGN_HOST)
            }
            (b"/", StatusPage::Served) => STATUS_PAGE.response(),
            (b"/page.json", StatusPage::Served) => {
                with_policy(with_page(pages.overview().await), DATA_POLICY)
            }
            (b"/", StatusPage::Off) => with_text(404, NO_PAGE),
            (_, _) => with_text(404, "there are /healthz, /readyz and /metrics"),
        }
    }
}

impl<P: FleetPages> Routes for FleetRoutes<P> {
    async fn get(&self, request: &RequestHead) -> Response {
        if !names_this_host(request) {
            return with_text(421, FOREIGN_HOST);
        }
        let (path, query) = target(request);
        let data = match path {
            b"/" => return FLEET_PAGE.response(),
            b"/page.json" => self.0.overview().await,
            b"/fleet.json" => match query.map(host_of_query) {
                None => self.0.report(None).await,
                Some(Some(host)) => self.0.report(Some(host)).await,
                Some(None) => return with_text(400, "write /fleet.json?host=NAME, or no query"),
            },
            _ => return with_text(404, "there are /, /page.json and /fleet.json"),
        };
        with_policy(with_page(data), DATA_POLICY)
    }
}

/// The path, and the query if there is one.
fn target(request: &RequestHead) -> (&[u8], Option<&[u8]>) {
    let mut parts = request.path.splitn(2, |byte| *byte == b'?');
    (parts.next().unwrap_or_default(), parts.next())
}

/// The name in `host=NAME`. The characters of names need no escape.
fn host_of_query(query: &[u8]) -> Option<&str> {
    str::from_utf8(query.strip_prefix(b"host=")?).ok()
}

/// The answer to a page of another site that reaches this one (DNS rebinding), or to a user who
/// reaches it by a name of their own.
const FOREIGN_HOST: &str = "this page is only for requests to this host itself: open it as \
                            http://localhost, http://127.0.0.1 or http://[::1], with the port";
const NO_PAGE: &str = "there are /healthz, /readyz and /metrics; with monitor.page = true there is \
                       a status page here";
