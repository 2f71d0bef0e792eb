//! The verbs: one file each, with its arguments and what it prints.

mod ask_cloudflare;
mod ca;
mod check;
mod cloudflare;
mod completions;
mod confirm;
mod doctor;
mod drops;
mod explain;
mod fetch_list;
mod fleet;
mod identities;
mod init;
mod load;
mod man_pages;
mod mode;
mod open;
mod peers;
mod prefixes;
mod prove;
mod reload;
mod run;
mod status;
mod strangers;
mod talk_to_etcd;
mod terminate;
mod top;
mod unload;
mod upgrade;

use std::process::ExitCode;

use clap::Subcommand;

/// Declares the verbs, and the dispatch to them, from one line each.
macro_rules! verbs {
    ($($(#[$attribute:meta])* $verb:ident($command:path),)*) => {
        #[derive(Subcommand)]
        pub(crate) enum Verb {
            $($(#[$attribute])* $verb($command),)*
        }

        impl Verb {
            pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
                match self {
                    $(Self::$verb(command) => command.run(),)*
                }
            }
        }
    };
}

verbs! {
    /// Filter packets and serve until SIGTERM; SIGHUP reloads the configuration
    Run(run::RunCommand),
    /// Load the firewall as configured and exit: for boot, before the network is up
    Load(load::LoadCommand),
    /// Write a first configuration from what this host has, or from that of nginx
    Init(init::InitCommand),
    /// Check the configuration and every file that it names; changes nothing
    Check(check::CheckCommand),
    /// Make a client CA of your own and certificates for origin pulls, and show what files hold
    Ca(ca::CaCommand),
    /// Show the state of the firewall and the terminator; works without a daemon too
    Status(status::StatusCommand),
    /// Show both live on a terminal: rates, strangers, peers, sites
    Top(top::TopCommand),
    /// Show which client certificates the edge presents; works without a daemon too
    Identities(identities::IdentitiesCommand),
    /// Show every authenticated peer and whether it is admitted now; works without a daemon too
    Peers(peers::PeersCommand),
    /// Show the sources that no prefix admits, over days; works without a daemon too
    Strangers(strangers::StrangersCommand),
    /// Show dropped packets as they arrive; the counters in status include all of them
    Drops(drops::DropsCommand),
    /// Explain the verdict on packets from an address or in a capture; changes nothing
    Explain(explain::ExplainCommand),
    /// Run every shape of the packet table through the loaded firewall; changes nothing
    Prove(prove::ProveCommand),
    /// Attack both locks of this host; report what is wrong, what visitors see, and the cure
    Doctor(doctor::DoctorCommand),
    /// Show the modes in force, or switch between observe and enforce at once
    Mode(mode::ModeCommand),
    /// Keep the mode that `aop mode enforce --confirm` set for a limited time
    Confirm(confirm::ConfirmCommand),
    /// Emergency opening: admit a network for a limited time, close it, or list the openings
    Open(open::OpenCommand),
    /// Make the daemon reload its configuration, as SIGHUP does, and report the result
    Reload(reload::ReloadCommand),
    /// Show, compare and refresh the prefix list
    Prefixes(prefixes::PrefixesCommand),
    /// Compare what Cloudflare says about origin pulls with this host
    Cloudflare(cloudflare::CloudflareCommand),
    /// Show all hosts that report to one etcd, and give them orders
    Fleet(fleet::FleetCommand),
    /// Hand over to a new process of the installed program without cutting a connection
    Upgrade(upgrade::UpgradeCommand),
    /// Print the completion script for a shell
    Completions(completions::CompletionsCommand),
    /// Write the man pages of the package
    #[command(hide = true)]
    ManPages(man_pages::ManPagesCommand),
    /// Part of `run`, which starts it: serve, without any privilege
    #[command(hide = true)]
    Terminate(terminate::TerminateCommand),
    /// Part of `run` and `prefixes`, which start it: fetch a list, without any privilege
    #[command(hide = true)]
    FetchList(fetch_list::FetchListCommand),
    /// Part of `cloudflare`, which starts it: talk to Cloudflare's API, without any privilege
    #[command(hide = true)]
    AskCloudflare(ask_cloudflare::AskCloudflareCommand),
    /// Part of `run` and `fleet`, which start it: talk to etcd, without any privilege
    #[command(hide = true)]
    TalkToEtcd(talk_to_etcd::TalkToEtcdCommand),
    /// Detach the firewall from every interface and remove its pinned maps
    Unload(unload::UnloadCommand),
}
