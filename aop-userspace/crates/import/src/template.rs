//! The text of the configuration, with comments for whoever edits it next.

use std::fmt::Write;

use aop_config::quoted;

use crate::{ConfigProposal, FoundCertificate, KnownHost, ProposedSite, SiteUse};

/// Columns of a line of comments.
const WIDTH: usize = 80;

const HEAD: &str = "\
# aop: makes this host answer its CDN's authenticated origin pulls, and nobody
# else. `aop init` proposed this. Read it, change what is wrong, and then:
#
#   aop check                look at the configuration and the files that it names
#   aop reload               put it into force; a new [[listener]] needs
#                            `aop upgrade` or `systemctl restart aop`
#   aop status               who pulls, and what would be dropped
#
# Each key: /usr/share/doc/aop/docs/configuration.md
";

const FIREWALL: &str = "
# The first lock: packets to these ports pass only from the CDN's networks.
[firewall]
# \"observe\" counts what \"enforce\" would drop, and drops nothing. `aop mode`
# switches at once; try `aop mode enforce --confirm 5m` first.
mode = \"observe\"
";

const AUTO: &str = "
# The interfaces to guard. With a name instead of \"auto\", packets are filtered
# before the network is up.
#interfaces = [\"eth0\"]
";

const REST: &str = "
# Networks that pass beside the CDN: your monitoring, your office.
#extra = [\"192.0.2.10/32\", \"2001:db8::10/128\"]

# UDP (HTTP/3) to a guarded port: \"pass\", or \"drop\".
#udp = \"drop\"

# The list of admitted networks: Cloudflare's published list, fetched every
# twelve hours. Also possible: \"https://...\" or a file.
#[prefixes]
#source = \"cloudflare\"
";

const OBSERVES: &str = "\
# A site with on_refusal = \"observe\" lets everybody in, and counts who would be
# refused. When `aop status` shows only pulls with the right certificate, remove
# that line. \"cloudflare-global\" proves the Cloudflare network; a certificate
# of your own proves your zone: /usr/share/doc/aop/docs/certificates.md
";

const NO_SITES: &str = "
# The second lock: aop serves TLS, for peers with the right certificate only.
# Leave this out while a web server has port 443, or use another port.
";

const EXAMPLE: &str = "
#[[site]]
#hosts       = [\"example.com\", \"*.example.com\"]
#certificate = \"/etc/aop/example.com.pem\"      # with its chain (fullchain)
#key         = \"/etc/aop/example.com.key\"      # only root needs to read it
#client_ca   = [\"/etc/aop/origin-pull-ca.pem\"] # or \"cloudflare-global\"
#upstream    = \"http://127.0.0.1:8080\"         # or tcp://, unix://, h2c://
#on_refusal  = \"observe\"
";

impl ConfigProposal {
    /// The text of the configuration. `host` is where it is for.
    #[must_use]
    pub fn toml(&self, host: &KnownHost) -> String {
        let mut text = format!("{HEAD}{FIREWALL}");
        if host.interfaces.is_empty() {
            text += AUTO;
        } else {
            text += "\n# The interfaces to guard: those over which this host is reached now. Named\n# \
                     interfaces are guarded before the network is up; \"auto\" finds new ones.\n";
            add(&mut text, "interfaces", &list(&host.interfaces));
        }
        text += "\n# The TCP ports to guard.\n";
        let ports: Vec<String> = self.ports().iter().map(ToString::to_string).collect();
        add(&mut text, "ports", &format!("[{}]", ports.join(", ")));
        text += REST;
        if self.sites.is_empty() {
            self.add_examples(&mut text, host);
        } else {
            self.add_sites(&mut text);
        }
        text
    }

    fn add_sites(&self, text: &mut String) {
        *text +=
            "\n# The second lock: aop serves TLS, for peers with the right certificate only.\n";
        let any = self.written().next().is_some();
        if let (true, Some(trial)) = (any, self.trial.first()) {
            let host = self.written().find_map(|site| site.hosts.first());
            let host = host.map_or("HOST", |it| it.strip_prefix("*.").unwrap_or(it));
            *text += &comment(&format!(
                "nginx keeps its ports meanwhile. Cloudflare reaches this one, too: \
                 https://{host}:{}/. To move, remove the blocks that serve TLS from \
                 nginx, write the other `bind` instead of this one, and remove firewall.ports.",
                trial.port()
            ));
        }
        let addresses = |all: &[std::net::SocketAddr]| {
            list(&all.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let mark = if any { "" } else { "#" };
        *text += &format!(
            "{mark}[[listener]]\n{mark}bind = {}\n#bind = {}\n\n",
            addresses(&self.trial),
            addresses(&self.serves)
        );
        if self.sites.iter().any(|site| !site.refuses) {
            *text += OBSERVES;
        }
        self.sites.iter().for_each(|site| site.add(text));
    }

    fn add_examples(&self, text: &mut String, host: &KnownHost) {
        *text += NO_SITES;
        *text += "#[[listener]]\n#bind = [\"0.0.0.0:443\", \"[::]:443\"]\n";
        for FoundCertificate { hosts, certificate, key } in &host.certificates {
            *text += "\n#[[site]]\n";
            for (name, value) in [
                ("#hosts", list(hosts)),
                ("#certificate", quoted(certificate)),
                ("#key", quoted(key)),
                ("#client_ca", list(&["cloudflare-global".to_owned()])),
                ("#upstream", quoted("http://127.0.0.1:8080")),
                ("#on_refusal", quoted("observe")),
            ] {
                add(text, &format!("{name:<12}"), &value);
            }
        }
        if host.certificates.is_empty() {
            *text += EXAMPLE;
        }
    }
}

impl ProposedSite {
    fn add(&self, text: &mut String) {
        *text += &format!("\n{}", comment(&self.at));
        *text += &comment(&format!("upstream: {}", self.because));
        let mark = match &self.used {
            SiteUse::Written => "",
            SiteUse::Commented(why) => {
                *text += &comment(&format!("Not in use: {why}"));
                "#"
            }
        };
        *text += &format!("{mark}[[site]]\n");
        let mut rows = vec![
            ("hosts", list(&self.hosts)),
            ("certificate", quoted(&self.certificate)),
            ("key", quoted(&self.key)),
            ("client_ca", list(&self.client_ca)),
        ];
        if !self.crl.is_empty() {
            rows.push(("crl", list(&self.crl)));
        }
        rows.push(("upstream", quoted(&self.upstream)));
        if !self.refuses {
            rows.push(("on_refusal", quoted("observe")));
        }
        for (name, value) in rows {
            add(text, &format!("{mark}{name:<11}"), &value);
        }
    }
}

fn add(text: &mut String, name: &str, value: &str) {
    // A `String` takes everything.
    writeln!(text, "{name} = {value}").ok();
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// `text` as lines of comments. No word of it can end its line.
fn comment(text: &str) -> String {
    let plain: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let (mut lines, mut line) = (String::new(), String::from("#"));
    for word in plain.split_whitespace() {
        if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &format!("{line}\n");
            line = String::from("#");
        }
        line += &format!(" {word}");
    }
    lines + &line + "\n"
}
