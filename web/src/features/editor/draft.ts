// What people say about a clip, as the form holds it: what was changed, what is wrong with it, and two people's changes put together.

export type Visibility = "hidden" | "link" | "published";
export type Link = { title: string; url: string };

export type Draft = {
  title: string;
  description: string;
  tags: readonly string[];
  links: readonly Link[];
  visibility: Visibility;
};
export type Field = keyof Draft;

export const FIELDS: readonly Field[] = ["title", "description", "tags", "links", "visibility"];

/** The server's limits (storage/src/model/about.rs), told before it has to refuse. */
export const LIMITS = {
  title: 200,
  description: 5_000,
  tags: 20,
  tag: 40,
  links: 10,
  url: 2_000,
} as const;

export type Flaw =
  | "titleMissing"
  | "titleLong"
  | "descriptionLong"
  | "tagLong"
  | "tagsMany"
  | "linkTitle"
  | "linkUrl";

export function draftOf(clip: Draft): Draft {
  const { title, description, tags, links, visibility } = clip;
  return { title, description, tags, links: links.map(({ title, url }) => ({ title, url })), visibility };
}

export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The fields in which two drafts differ, with the second one's values. */
export function changes(from: Draft, to: Draft): Partial<Draft> {
  return Object.fromEntries(
    FIELDS.filter((field) => !same(from[field], to[field])).map((field) => [field, to[field]]),
  );
}

/** A draft as it is sent: the ends of texts trimmed, links that were not begun left out. */
export function tidy(draft: Draft): Draft {
  return {
    ...draft,
    title: draft.title.trim(),
    description: draft.description.replaceAll("\r\n", "\n").trim(),
    links: draft.links
      .map((link) => ({ title: link.title.trim(), url: link.url.trim() }))
      .filter((link) => link.title !== "" || link.url !== ""),
  };
}

/** The first thing that the server would refuse, by field. */
export function flaws(draft: Draft): Partial<Record<Field, Flaw>> {
  const found: Partial<Record<Field, Flaw>> = {};
  const { title, description, tags, links } = tidy(draft);
  const chars = (text: string) => [...text].length;
  if (title === "") found.title = "titleMissing";
  else if (chars(title) > LIMITS.title) found.title = "titleLong";
  if (chars(description) > LIMITS.description) found.description = "descriptionLong";
  if (tags.length > LIMITS.tags) found.tags = "tagsMany";
  else if (tags.some((tag) => chars(tag) > LIMITS.tag)) found.tags = "tagLong";
  const plain = (url: string) =>
    /^https?:\/\/[^\s]+$/.test(url) && new TextEncoder().encode(url).length <= LIMITS.url;
  if (links.some((link) => !plain(link.url))) found.links = "linkUrl";
  else if (links.some((link) => link.title === "" || chars(link.title) > LIMITS.title))
    found.links = "linkTitle";
  return found;
}

/** A tag as it is kept: lower case, one space between words. Empty when there is nothing to keep. */
export function tidyTag(text: string): string {
  return text.trim().split(/\s+/).join(" ").toLowerCase();
}

/** Adds what was typed, several at once when a comma separates them; what is there already stays once. */
export function addTags(tags: readonly string[], typed: string): readonly string[] {
  return [...new Set([...tags, ...typed.split(",").map(tidyTag)])].filter((tag) => tag !== "");
}

/**
 * What I changed and what somebody else changed since both read `base`. Fields that only one of us touched, or that both changed alike, are
 * settled; the others are named, and hold mine until somebody chooses.
 */
export function merge(
  base: Draft,
  mine: Draft,
  theirs: Draft,
): { draft: Draft; unsettled: Field[]; taken: Field[] } {
  const touched = (draft: Draft, field: Field) => !same(base[field], draft[field]);
  const apart = (field: Field) => !same(mine[field], theirs[field]);
  const unsettled = FIELDS.filter((field) => touched(mine, field) && touched(theirs, field) && apart(field));
  const taken = FIELDS.filter((field) => !touched(mine, field) && touched(theirs, field));
  const settled = Object.fromEntries(taken.map((field) => [field, theirs[field]]));
  return { draft: { ...mine, ...settled }, unsettled, taken };
}

/** The draft after a choice for each field that was not settled. */
export function choose(
  mine: Draft,
  theirs: Draft,
  choices: Partial<Record<Field, "mine" | "theirs">>,
): Draft {
  const chosen = FIELDS.filter((field) => choices[field] === "theirs").map((field) => [field, theirs[field]]);
  return { ...mine, ...Object.fromEntries(chosen) };
}
