//! Stable names in documents as enums. An older client may read a newer daemon: a name that it does
//! not know becomes `Unknown`, and is written again as it was read.

/// Defines an enum of stable names: its texts, and how they are read and written.
macro_rules! stable_names {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A name of another version of aop.
            Unknown(String),
        }

        impl $name {
            /// The stable name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(name) => name,
                }
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                match name {
                    $($text => Self::$variant,)+
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let name = <String as serde::Deserialize>::deserialize(from)?;
                Ok(Self::from(name.as_str()))
            }
        }
    };
}

pub(crate) use stable_names;

#[cfg(test)]
mod tests {
    use crate::{AdmissionSource, ModeName};

    #[test]
    fn a_name_of_a_newer_version_is_kept_and_known_names_are_variants() {
        let read = |text: &str| serde_json::from_str::<ModeName>(text).expect("a name");
        assert_eq!(read(r#""observe""#), ModeName::Observe);
        assert_eq!(read(r#""mirror""#), ModeName::Unknown("mirror".to_owned()));
        for text in [r#""enforce""#, r#""mirror""#] {
            assert_eq!(serde_json::to_string(&read(text)).expect("JSON"), text);
        }
        assert_eq!(format!("{:<9}|", AdmissionSource::Opening), "opening  |");
    }
}
