//! WebSockets through aop, between a client and a server of Python's `websockets`.

use anyhow::ensure;
use aop_tests::script;

use super::{Software, installed, takes_http};
use crate::stage::on_changed_stage;

#[test]
fn websocket_messages_of_all_kinds_pass() {
    if !installed(&Software::Modules(&["websockets"])) {
        return;
    }
    on_changed_stage(takes_http, |stage| {
        let _server = script::serve_on_origin(&stage.lab, "websocket_server", &["127.0.0.1:9000"])?;
        let cases = script::run_as_edge(&stage.lab, "websocket_client", &[])?;
        ensure!(cases.len() == 13, "{cases:?}");
        // The client leaves without the body of the 403, which may be aborted.
        let denials = stage.daemon.status()?.denials()?;
        let few = denials.iter().all(|(reason, count)| reason == "aborted" && *count <= 1);
        ensure!(few, "{denials:?}");
        Ok(())
    });
}
