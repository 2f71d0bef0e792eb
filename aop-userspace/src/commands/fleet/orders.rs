//! `aop fleet orders`: the orders that count now.

use std::process::ExitCode;

use aop_api::{FleetOrders, OrderState, OrderedHost, StoredOrder};
use aop_fleet::{MORE_ORDERS, fleet_orders, hosts_in_words, request_in_words};
use aop_types::escape_ascii;
use clap::Args;

use crate::{
    arguments::{ConfigFile, Output},
    output::{count, lines, when},
};

#[derive(Args)]
pub(super) struct OrdersCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    output: Output,
}

impl OrdersCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (client, config) = super::connect(&self.file)?;
        let stored = client.orders(0)?;
        let fleet = client.hosts()?;
        let orders = fleet_orders(&stored, &fleet, &config.operators);
        self.output.print(&orders, page)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn page(orders: &FleetOrders) -> String {
    let mut text = Vec::new();
    for StoredOrder { order, operator, genuine, hosts } in &orders.orders {
        text.push(format!("order {}, until {}", order.serial, when(order.expires)));
        // Anybody who can write to etcd may have written it.
        text.push(format!("  for {}", escape_ascii(&hosts_in_words(&order.hosts))));
        text.push(format!("  {}", escape_ascii(&request_in_words(&order.request))));
        let mark =
            if *genuine { "signed by" } else { "NOT signed by a key of fleet.operators here:" };
        text.push(format!("  {mark} {operator}"));
        text.push(format!("  taken by {}{}", count(hosts.len(), "host"), states(hosts)));
    }
    if orders.orders.is_empty() {
        text.push("no order counts now".to_owned());
    }
    if orders.more {
        text.push(format!("! {MORE_ORDERS}"));
    }
    if orders.unreadable > 0 {
        text.push(format!("{} in etcd: no order", count(orders.unreadable, "key")));
    }
    lines(text)
}

fn states(hosts: &[OrderedHost]) -> String {
    let states = [
        OrderState::Begun,
        OrderState::Waiting,
        OrderState::Lasting,
        OrderState::Done,
        OrderState::TakenBack,
        OrderState::Refused,
    ];
    let counted = states.iter().filter_map(|state| {
        let number = hosts.iter().filter(|host| host.state == *state).count();
        (number > 0).then(|| format!("{number} {}", state.as_str().replace('_', " ")))
    });
    let counted: Vec<_> = counted.collect();
    if counted.is_empty() { String::new() } else { format!(": {}", counted.join(", ")) }
}

#[cfg(test)]
mod tests {
    use aop_api::{Order, OrderedHosts, Request, Wave, timestamp};

    use super::*;

    #[test]
    fn an_order_for_a_part_of_the_fleet_says_so() {
        let hosts = OrderedHosts {
            names: vec!["*".to_owned()],
            labels: [("ring".to_owned(), "canary".to_owned())].into(),
            wave: Some(Wave { from: 0, below: 9 }),
        };
        let order = Order {
            fleet: "/aop".to_owned(),
            serial: 7,
            issued: timestamp(0),
            expires: timestamp(600),
            hosts,
            request: Request::Reload,
        };
        let operator = "ed25519:key".to_owned();
        let orders = vec![StoredOrder { order, operator, genuine: true, hosts: Vec::new() }];
        let text = page(&FleetOrders { orders, unreadable: 0, more: false });
        assert!(text.contains("\n  for *, ring=canary, one wave of them\n  reload\n"), "{text}");
    }
}
