//! Orders: what an operator signs, and what a host obeys. Nothing here reads a file or a socket.

mod judge;
mod operator_secret;
mod place;
mod signed_order;
#[cfg(test)]
mod tests;

pub use self::{
    judge::{
        HostStanding, Judgement, MAX_AHEAD, MAX_LIFE, OrderRefusal, hosts_include, may_be_ordered,
    },
    operator_secret::OperatorSecret,
    place::{PLACES, place},
    signed_order::{MAX_ORDER, OrderFormError, OrderParts, SignedOrder},
};
