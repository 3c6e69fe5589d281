// What people say about the clip. It saves itself; there is no button for it.
import { Plus, X } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useId, useState } from "react";
import { m } from "@/messages";
import { Button, IconButton } from "@/ui/button";
import { cn } from "@/ui/cn";
import { Field, inputClass } from "@/ui/field";
import {
  addTags,
  type Draft,
  type Field as DraftField,
  flaws,
  LIMITS,
  type Link,
  type Visibility,
} from "./draft";

export type Edit = (field: DraftField, patch: Partial<Draft>) => void;

export function Form({ draft, cover, onEdit }: { draft: Draft; cover: ReactNode; onEdit: Edit }) {
  const wrong = flaws(draft);
  const say = (field: DraftField) => (wrong[field] ? m.editor.flaw[wrong[field]] : undefined);
  return (
    <div className="flex flex-col gap-3.5">
      <Field
        label={m.editor.fields.title}
        value={draft.title}
        error={say("title")}
        autoComplete="off"
        onChange={(event) => onEdit("title", { title: event.target.value })}
      />
      <Description
        value={draft.description}
        error={say("description")}
        onChange={(description) => onEdit("description", { description })}
      />
      <Tags tags={draft.tags} error={say("tags")} onChange={(tags) => onEdit("tags", { tags })} />
      {cover}
      <Links links={draft.links} error={say("links")} onChange={(links) => onEdit("links", { links })} />
      <Seen value={draft.visibility} onChange={(visibility) => onEdit("visibility", { visibility })} />
    </div>
  );
}

function Label({ id, children }: { id: string; children: ReactNode }) {
  return (
    <label htmlFor={id} className="mb-[5px] block text-dense font-control">
      {children}
    </label>
  );
}

function Wrong({ id, text }: { id: string; text: string | undefined }) {
  return text ? (
    <p id={id} className="mt-[5px] text-caption text-danger">
      {text}
    </p>
  ) : null;
}

function Description({
  value,
  error,
  onChange,
}: {
  value: string;
  error: string | undefined;
  onChange: (text: string) => void;
}) {
  const id = useId();
  return (
    <div>
      <Label id={id}>{m.editor.description}</Label>
      <textarea
        id={id}
        rows={3}
        value={value}
        aria-invalid={error ? true : undefined}
        aria-describedby={error ? `${id}-wrong` : undefined}
        onChange={(event) => onChange(event.target.value)}
        className={cn(
          inputClass(error !== undefined),
          "field-sizing-content block h-auto max-h-60 min-h-[62px] py-1.5",
        )}
      />
      <Wrong id={`${id}-wrong`} text={error} />
    </div>
  );
}

function Tags({
  tags,
  error,
  onChange,
}: {
  tags: readonly string[];
  error: string | undefined;
  onChange: (tags: readonly string[]) => void;
}) {
  const id = useId();
  const [typed, setTyped] = useState("");
  const take = () => {
    if (typed.trim() !== "") onChange(addTags(tags, typed));
    setTyped("");
  };
  // Several that are pasted with commas between them are several.
  const type = (text: string) => {
    const end = text.lastIndexOf(",");
    if (end >= 0) onChange(addTags(tags, text.slice(0, end)));
    setTyped(text.slice(end + 1));
  };
  const keyed = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter") {
      event.preventDefault();
      take();
    } else if (event.key === "Backspace" && typed === "" && tags.length > 0) {
      onChange(tags.slice(0, -1));
    }
  };
  return (
    <div>
      <Label id={id}>{m.editor.tags}</Label>
      <div className="flex min-h-9 flex-wrap items-center gap-1.5 rounded-control border border-line-2 bg-raised px-1.5 py-[3px] focus-within:border-water">
        <ul aria-label={m.editor.tagList} className="contents">
          {tags.map((tag) => (
            <li key={tag} className="max-w-full min-w-0">
              <button
                type="button"
                aria-label={m.editor.removeTag(tag)}
                onClick={() => onChange(tags.filter((other) => other !== tag))}
                className="inline-flex h-7 max-w-full items-center gap-1.5 rounded-full border border-line px-2.5 text-dense hover:border-line-2 max-tablet:h-10"
              >
                <span className="truncate">{tag}</span>
                <X aria-hidden className="size-[13px] shrink-0" strokeWidth={1.75} />
              </button>
            </li>
          ))}
        </ul>
        <input
          id={id}
          value={typed}
          placeholder={m.editor.add}
          autoComplete="off"
          aria-invalid={error ? true : undefined}
          aria-describedby={error ? `${id}-wrong` : undefined}
          onChange={(event) => type(event.target.value)}
          onKeyDown={keyed}
          onBlur={take}
          className="h-7 min-w-16 flex-1 bg-transparent px-1 placeholder:text-ink-3 focus-visible:outline-none max-tablet:h-10 max-tablet:text-[16px]"
        />
      </div>
      <Wrong id={`${id}-wrong`} text={error} />
    </div>
  );
}

function Links({
  links,
  error,
  onChange,
}: {
  links: readonly Link[];
  error: string | undefined;
  onChange: (links: readonly Link[]) => void;
}) {
  const id = useId();
  const change = (at: number, patch: Partial<Link>) =>
    onChange(links.map((link, n) => (n === at ? { ...link, ...patch } : link)));
  return (
    <fieldset aria-describedby={error ? `${id}-wrong` : undefined}>
      <legend className="mb-[5px] text-dense font-control">{m.editor.links}</legend>
      <div className="flex flex-col gap-1.5">
        {links.map((link, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: links have no names; while one is typed, its place is what stays
          <div key={at} className="flex items-center gap-1.5">
            <input
              value={link.title}
              aria-label={m.editor.linkTitle(at + 1)}
              placeholder={m.editor.linkTitleHint}
              onChange={(event) => change(at, { title: event.target.value })}
              className={cn(inputClass(), "w-2/5")}
            />
            <input
              value={link.url}
              type="url"
              inputMode="url"
              aria-label={m.editor.linkUrl(at + 1)}
              placeholder={m.editor.linkUrlHint}
              onChange={(event) => change(at, { url: event.target.value })}
              className={cn(inputClass(), "flex-1")}
            />
            <IconButton
              small
              label={m.editor.removeLink(at + 1)}
              onClick={() => onChange(links.filter((_, n) => n !== at))}
            >
              <X aria-hidden className="size-[15px]" strokeWidth={1.75} />
            </IconButton>
          </div>
        ))}
        {links.length < LIMITS.links && (
          <Button
            size="dense"
            className="self-start"
            onClick={() => onChange([...links, { title: "", url: "" }])}
          >
            <Plus aria-hidden className="size-[15px]" strokeWidth={1.75} />
            {m.editor.addLink}
          </Button>
        )}
      </div>
      <Wrong id={`${id}-wrong`} text={error} />
    </fieldset>
  );
}

const SEEN: readonly Visibility[] = ["hidden", "link", "published"];

function Seen({ value, onChange }: { value: Visibility; onChange: (value: Visibility) => void }) {
  const id = useId();
  return (
    <div>
      <p aria-hidden className="mb-[5px] text-dense font-control">
        {m.editor.seen}
      </p>
      <Segments
        name={id}
        label={m.editor.seen}
        value={value}
        options={SEEN.map((one) => ({ value: one, label: m.editor.visibility[one] }))}
        onChange={onChange}
      />
      <p className="mt-[5px] text-caption text-ink-3">{m.editor.visibilityText[value]}</p>
    </div>
  );
}

/** One of a few, side by side. */
export function Segments<T extends string>({
  name,
  value,
  options,
  label,
  onChange,
}: {
  name: string;
  value: T;
  options: readonly { value: T; label: string }[];
  label: string;
  onChange: (value: T) => void;
}) {
  return (
    <div
      role="radiogroup"
      aria-label={label}
      className="inline-grid auto-cols-fr grid-flow-col rounded-control border border-line bg-sunk p-px"
    >
      {options.map((option) => (
        <label
          key={option.value}
          className={cn(
            "grid h-[30px] cursor-pointer place-items-center rounded-[6px] px-3.5 text-dense font-control text-ink-2 has-focus-visible:outline-2 has-focus-visible:outline-water max-tablet:h-10",
            option.value === value && "bg-raised text-ink",
          )}
        >
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
            className="sr-only"
          />
          {option.label}
        </label>
      ))}
    </div>
  );
}
