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
        ensure!(stage.daemon.status()?.denials()?.is_empty());
        Ok(())
    });
}
