//! What people say about a clip, and how they change it: title, description, tags, links, who may see it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Clip, check_title};
use crate::StorageError;

/// Longest description, in characters.
pub const DESCRIPTION_CHARS: usize = 5000;
/// Most tags of a clip, and the longest one in characters.
pub const TAGS: usize = 20;
pub const TAG_CHARS: usize = 40;
/// Most links of a clip, and the longest address in bytes.
pub const LINKS: usize = 10;
pub const URL_BYTES: usize = 2000;

/// How a clip came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClipKind {
    /// A part of the recording, cut off by the rollover. All parts of a broadcast follow each other without a gap.
    #[default]
    Part,
    /// Made from ranges of recordings because somebody asked for it; see [`Clip::recipe`].
    Made,
}

/// Who may see a clip, besides those who hold the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Nobody.
    #[default]
    Hidden,
    /// Who was given a link to it that is still good.
    Link,
    Published,
}

macro_rules! names {
    ($type:ident, $what:literal, $($variant:ident = $name:literal),*) => {
        impl $type {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = StorageError;

            fn from_str(text: &str) -> Result<Self, StorageError> {
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                found.ok_or_else(|| StorageError::Invalid(format!(concat!("'{}' is no ", $what), text)))
            }
        }
    };
}
pub(super) use names;

names!(ClipKind, "kind of clip", Part = "part", Made = "made");
names!(Visibility, "visibility", Hidden = "hidden", Link = "link", Published = "published");

/// A link that belongs to a clip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebLink {
    pub title: String,
    /// `http` or `https`.
    pub url: String,
}

/// A change that somebody makes to a clip. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipEdit {
    pub title: Option<String>,
    /// May have several lines; may be empty.
    pub description: Option<String>,
    /// All of them; see [`tidy_tags`].
    pub tags: Option<Vec<String>>,
    /// All of them.
    pub links: Option<Vec<WebLink>>,
    pub visibility: Option<Visibility>,
    /// Kept for good: retention never takes it.
    pub pinned: Option<bool>,
    /// Which of [`super::Pictures::posters`] is shown, from 0.
    pub poster: Option<u32>,
}

impl ClipEdit {
    /// # Errors
    /// [`StorageError::Invalid`] naming the rule that a value breaks.
    pub fn check(&self) -> Result<(), StorageError> {
        self.title.as_deref().map_or(Ok(()), check_title)?;
        self.description.as_deref().map_or(Ok(()), check_description)?;
        self.tags.as_deref().map_or(Ok(()), check_tags)?;
        self.links.as_deref().map_or(Ok(()), check_links)
    }

    /// What it changes, by the names of the wire.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let Self { title, description, tags, links, visibility, pinned, poster } = self;
        let all = [
            ("title", title.is_some()),
            ("description", description.is_some()),
            ("tags", tags.is_some()),
            ("links", links.is_some()),
            ("visibility", visibility.is_some()),
            ("pinned", pinned.is_some()),
            ("poster", poster.is_some()),
        ];
        all.into_iter().filter_map(|(name, is_changed)| is_changed.then_some(name)).collect()
    }

    /// The change on top of an earlier one.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        Self {
            title: self.title.or(earlier.title),
            description: self.description.or(earlier.description),
            tags: self.tags.or(earlier.tags),
            links: self.links.or(earlier.links),
            visibility: self.visibility.or(earlier.visibility),
            pinned: self.pinned.or(earlier.pinned),
            poster: self.poster.or(earlier.poster),
        }
    }

    /// Changes a clip, whose revision stays. `now_ms` becomes the time of its publication when it was not published before.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a poster that the clip does not have; nothing is changed then.
    pub fn apply(&self, clip: &mut Clip, now_ms: i64) -> Result<(), StorageError> {
        if let Some(number) = self.poster {
            let posters = clip.pictures.as_ref().map_or(&[][..], |pictures| &pictures.posters);
            let chosen = posters.get(number as usize).ok_or_else(|| {
                StorageError::Invalid(format!("the clip has {} posters, counted from 0", posters.len()))
            })?;
            clip.poster = Some(chosen.object.clone());
        }
        let Self { title, description, tags, links, visibility, pinned, poster: _ } = self.clone();
        clip.title = title.unwrap_or_else(|| std::mem::take(&mut clip.title));
        clip.description = description.unwrap_or_else(|| std::mem::take(&mut clip.description));
        clip.tags = tags.unwrap_or_else(|| std::mem::take(&mut clip.tags));
        clip.links = links.unwrap_or_else(|| std::mem::take(&mut clip.links));
        clip.pinned = pinned.unwrap_or(clip.pinned);
        if let Some(visibility) = visibility {
            clip.visibility = visibility;
            if visibility == Visibility::Published {
                clip.published_at_ms.get_or_insert(now_ms);
            } else {
                clip.published_at_ms = None;
            }
        }
        Ok(())
    }
}

/// Tags as they are kept: trimmed, in lower case, inner white space as one space, each once, in the order given.
#[must_use]
pub fn tidy_tags(tags: &[String]) -> Vec<String> {
    let mut tidy: Vec<String> = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = tag.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        if !tag.is_empty() && !tidy.contains(&tag) {
            tidy.push(tag);
        }
    }
    tidy
}

pub(crate) fn check_description(text: &str) -> Result<(), StorageError> {
    let control = |c: char| c.is_control() && c != '\n';
    if text.chars().count() > DESCRIPTION_CHARS || text.chars().any(control) {
        return Err(StorageError::Invalid(format!(
            "a description has at most {DESCRIPTION_CHARS} characters and no control character but line ends"
        )));
    }
    Ok(())
}

pub(crate) fn check_tags(tags: &[String]) -> Result<(), StorageError> {
    if tags.len() > TAGS {
        return Err(StorageError::Invalid(format!("a clip has at most {TAGS} tags")));
    }
    tags.iter().try_for_each(|tag| check_tag(tag))?;
    if tidy_tags(tags) != tags {
        return Err(StorageError::Invalid("tags are in lower case, trimmed, and each is there once".into()));
    }
    Ok(())
}

pub(crate) fn check_tag(tag: &str) -> Result<(), StorageError> {
    if tag.is_empty() || tag.chars().count() > TAG_CHARS || tag.chars().any(char::is_control) {
        return Err(StorageError::Invalid(format!(
            "a tag has 1 to {TAG_CHARS} characters, none of them a control character"
        )));
    }
    Ok(())
}

pub(crate) fn check_links(links: &[WebLink]) -> Result<(), StorageError> {
    if links.len() > LINKS {
        return Err(StorageError::Invalid(format!("a clip has at most {LINKS} links")));
    }
    for link in links {
        check_title(&link.title)?;
        let known = ["http://", "https://"].iter().any(|scheme| link.url.starts_with(scheme) && link.url != *scheme);
        let plain = link.url.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if !known || !plain || link.url.len() > URL_BYTES {
            return Err(StorageError::Invalid(format!(
                "a link begins with http:// or https:// and has at most {URL_BYTES} bytes"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_one_form() {
        let given = ["  Grand   Final ", "goal", "GOAL", "", "日本"].map(String::from);
        let tidy = tidy_tags(&given);
        assert_eq!(tidy, ["grand final", "goal", "日本"]);
        assert_eq!(check_tags(&tidy), Ok(()));
        assert!(check_tags(&given).is_err());
        assert!(check_tags(&vec!["x".into(); TAGS + 1]).is_err());
        assert!(check_tags(&["x".repeat(TAG_CHARS + 1)]).is_err());
    }

    #[test]
    fn links_lead_to_web_pages_only() {
        let link = |url: &str| [WebLink { title: "more".into(), url: url.into() }];
        assert_eq!(check_links(&link("https://oxbow.example/a?b#c")), Ok(()));
        for url in ["", "javascript:alert(1)", "https://", "/c/1", "https://a b", "data:text/html,x", "https://a\n"] {
            assert!(check_links(&link(url)).is_err(), "{url:?}");
        }
        assert!(check_links(&link(&format!("https://{}", "x".repeat(URL_BYTES)))).is_err());
        assert!(check_links(&[WebLink { title: " ".into(), url: "https://a".into() }]).is_err());
    }

    #[test]
    fn a_later_change_wins_and_keeps_what_it_does_not_name() {
        let first = ClipEdit { title: Some("a".into()), pinned: Some(true), ..ClipEdit::default() };
        let second = ClipEdit { title: Some("b".into()), visibility: Some(Visibility::Link), ..ClipEdit::default() };
        let both = second.after(first);
        assert_eq!(
            (both.title.as_deref(), both.pinned, both.visibility),
            (Some("b"), Some(true), Some(Visibility::Link))
        );
    }
}
