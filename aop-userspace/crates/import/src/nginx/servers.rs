//! The server blocks of `http`, each with what it has and what it inherits.

use super::{
    Place,
    includes::absolute,
    listen::Listen,
    tree::{Body, Directive, flat},
};

/// A configuration as far as it concerns HTTP.
pub(super) struct HttpBlock<'a> {
    /// The directives of `http`, without the server blocks.
    pub(super) shared: Vec<&'a Directive>,
    pub(super) servers: Vec<Server<'a>>,
    /// The patterns of `include` in `http`.
    pub(super) includes: Vec<&'a str>,
}

/// A server block.
pub(super) struct Server<'a> {
    pub(super) block: &'a Directive,
    /// Its directives, those of included files too.
    pub(super) directives: Vec<&'a Directive>,
    pub(super) listens: Vec<Listen>,
}

/// The directives of a server block, or else those of `http`.
pub(super) struct Settings<'a> {
    own: &'a [&'a Directive],
    inherited: &'a [&'a Directive],
    /// The folder of relative paths.
    folder: &'a str,
}

impl<'a> HttpBlock<'a> {
    /// Finds it in a whole configuration, or takes a file that is a part of it.
    pub(super) fn find(main: &'a [Directive]) -> Self {
        let top = flat(main);
        let mut inside: Vec<&Directive> = Vec::new();
        let mut includes = Vec::new();
        for http in top.iter().filter(|it| it.is("http")) {
            inside.extend(http.inside());
            if let Body::Block(block) = &http.body {
                add_includes(block, &mut includes);
            }
        }
        if !top.iter().any(|it| it.is("http")) {
            inside = top;
        }
        let (servers, shared): (Vec<&Directive>, Vec<&Directive>) =
            inside.into_iter().partition(|it| it.is("server"));
        let all_tls = is_on(shared.iter().copied().find(|it| it.is("ssl")));
        let servers = servers.into_iter().map(|block| Server::new(block, all_tls)).collect();
        Self { shared, servers, includes }
    }
}

impl<'a> Server<'a> {
    fn new(block: &'a Directive, inherited_tls: bool) -> Self {
        let directives = block.inside();
        let own = directives.iter().copied().find(|it| it.is("ssl"));
        let all_tls = own.map_or(inherited_tls, |own| is_on(Some(own)));
        let listen = directives.iter().filter(|it| it.is("listen"));
        let mut listens: Vec<Listen> = listen.map(|it| Listen::read(it, all_tls)).collect();
        if listens.is_empty() {
            listens.push(Listen::DEFAULT);
        }
        Self { block, directives, listens }
    }

    pub(super) fn place(&self) -> &'a Place {
        &self.block.place
    }

    pub(super) fn serves_tls(&self) -> bool {
        self.listens.iter().any(Listen::is_tls)
    }

    /// The names of `server_name`, each with its line.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'a str, &'a Place)> {
        let directives = self.directives.iter().filter(|it| it.is("server_name"));
        directives.flat_map(|it| it.arguments.iter().map(|name| (&*name.text, &it.place)))
    }
}

impl<'a> Settings<'a> {
    pub(super) fn new(server: &'a Server<'a>, http: &'a HttpBlock<'a>, folder: &'a str) -> Self {
        Self { own: &server.directives, inherited: &http.shared, folder }
    }

    /// The directives of this name: as nginx inherits them, all of one level.
    pub(super) fn all(&self, name: &str) -> Vec<&'a Directive> {
        let of = |level: &[&'a Directive]| {
            level.iter().copied().filter(|it| it.is(name)).collect::<Vec<_>>()
        };
        let own = of(self.own);
        if own.is_empty() { of(self.inherited) } else { own }
    }

    pub(super) fn first(&self, name: &str) -> Option<&'a Directive> {
        self.all(name).first().copied()
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        is_on(self.first(name))
    }

    /// The file that a directive names.
    ///
    /// # Errors
    /// Why it names no file.
    pub(super) fn file(&self, directive: &Directive) -> Result<String, &'static str> {
        let text = directive.argument(0);
        if text.contains('$') {
            return Err(
                "the name has a variable: write the files into aop.toml by hand, a site for \
                        each certificate",
            );
        }
        if ["data:", "engine:", "store:"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err("this is no file: save it as a PEM file");
        }
        if text.is_empty() {
            return Err("it names no file");
        }
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err("the name is not UTF-8: rename the file");
        }
        Ok(absolute(self.folder, text))
    }
}

/// Adds the patterns of each `include` among `directives`, and of those in their files.
fn add_includes<'a>(directives: &'a [Directive], found: &mut Vec<&'a str>) {
    for directive in directives {
        if let Body::Included(inside) = &directive.body {
            found.push(directive.argument(0));
            add_includes(inside, found);
        }
    }
}

fn is_on(directive: Option<&Directive>) -> bool {
    directive.is_some_and(|it| it.argument(0) == "on")
}
