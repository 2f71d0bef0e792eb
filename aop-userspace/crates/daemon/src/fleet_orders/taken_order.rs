//! The last orders that this host took, in `paths.state`.

use std::path::Path;

use aop_api::{OrderResult, OrderState, Request};
use serde::{Deserialize, Serialize};

const FILE: &str = "fleet-orders.json";

/// An order, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TakenOrder {
    pub(super) result: OrderResult,
    pub(super) request: Request,
}

impl TakenOrder {
    /// The order after a start of aop. One that is still begun ended with the aop before, and is
    /// not carried out again.
    fn after_start(mut self) -> Self {
        if self.result.state == OrderState::Begun {
            self.result.state = OrderState::Refused;
            let why = "aop ended while it carried this order out: see `aop status` there";
            self.result.error = Some(why.to_owned());
        }
        self
    }
}

/// Writes the last orders. The caller keeps changes of the state out.
pub(super) fn store(taken: &[TakenOrder], state: &Path) -> Result<(), String> {
    let text = serde_json::to_vec(taken).map_err(|error| error.to_string())?;
    aop_storage::write(state, FILE, &text).map_err(|error| {
        let path = state.join(FILE);
        format!(
            "{}: cannot be written: {error}; correct paths.state, its permissions or its disk",
            path.display()
        )
    })
}

/// The last orders in `state`, the newest last, at a start of aop. Without a file that can be read,
/// nobody knows which orders were obeyed: then none is.
pub(super) fn load(state: &Path) -> Result<Vec<TakenOrder>, String> {
    let trouble = |why: String| {
        format!(
            "{}: cannot be read ({why}): this host takes no orders. Remove the file after the \
             orders in etcd have ceased to count (`aop fleet orders`), and restart aop",
            state.join(FILE).display()
        )
    };
    match aop_storage::read(state, FILE) {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(text)) => serde_json::from_slice(&text)
            .map(|taken: Vec<_>| taken.into_iter().map(TakenOrder::after_start).collect())
            .map_err(|error| trouble(error.to_string())),
        Err(error) => Err(trouble(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use aop_api::{ModeChange, ModeTarget};

    use super::*;

    fn taken(state: OrderState) -> TakenOrder {
        let result = OrderResult {
            serial: 17,
            operator: "ed25519:key".to_owned(),
            at: "2026-11-30T12:00:00Z".parse().expect("a time"),
            state,
            error: None,
        };
        TakenOrder { result, request: Request::Mode(ModeChange::to(ModeTarget::Enforce)) }
    }

    #[test]
    fn the_last_order_is_kept_and_a_damaged_file_stops_orders() {
        let state = tempfile::tempdir().expect("a directory");
        assert_eq!(load(state.path()), Ok(Vec::new()));
        let taken = vec![taken(OrderState::Lasting)];
        store(&taken, state.path()).expect("stored");
        assert_eq!(load(state.path()), Ok(taken));
        let path = state.path().join(FILE);
        let text = std::fs::read(&path).expect("text");
        std::fs::write(&path, &text[..text.len() / 2]).expect("cut");
        let why = load(state.path()).expect_err("damaged");
        assert!(why.contains("takes no orders") && why.contains(FILE), "{why}");
    }

    #[test]
    fn an_order_that_the_end_of_aop_interrupted_is_refused_after_the_start() {
        let state = tempfile::tempdir().expect("a directory");
        store(&[taken(OrderState::Begun)], state.path()).expect("stored");
        let loaded = load(state.path()).expect("orders");
        let [TakenOrder { result, .. }] = &loaded[..] else { panic!("{loaded:?}") };
        assert_eq!((result.serial, &result.state), (17, &OrderState::Refused));
        let why = result.error.as_deref().expect("a reason");
        assert!(why.contains("aop ended while it carried this order out"), "{why}");
    }
}
