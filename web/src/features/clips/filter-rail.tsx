// The filters: a column beside the clips where there is room, a sheet where there is not.
import {
  CircleAlert,
  Clock,
  EyeOff,
  Globe,
  Link2,
  type LucideIcon,
  Pin,
  Scissors,
  SlidersHorizontal,
  Square,
  TriangleAlert,
  VolumeX,
} from "lucide-react";
import { type ReactNode, useId, useState } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { Dialog } from "@/ui/dialog";
import { Choice, inputClass } from "@/ui/field";
import { useKeys } from "@/ui/hooks";
import type { Filter, Name } from "./filter";

export type FilterProps = {
  filter: Filter;
  channels: readonly string[];
  /** Tags of the clips that are shown, the most used first. */
  tags: readonly string[];
  onChange: (name: Name, value: string) => void;
};

type Entry = { name: Name; value: string; label: string; icon: LucideIcon };

const SHOW: readonly Entry[] = [
  { name: "kind", value: "part", label: m.library.kind.part, icon: Square },
  { name: "kind", value: "made", label: m.library.kind.made, icon: Scissors },
  { name: "pinned", value: "yes", label: m.library.pinned, icon: Pin },
];
const SEEN: readonly Entry[] = [
  { name: "visibility", value: "hidden", label: m.library.visibility.hidden, icon: EyeOff },
  { name: "visibility", value: "link", label: m.library.visibility.link, icon: Link2 },
  { name: "visibility", value: "published", label: m.library.visibility.published, icon: Globe },
];
const LOOK: readonly Entry[] = [
  { name: "state", value: "waiting", label: m.library.progress.waiting, icon: Clock },
  { name: "state", value: "failed", label: m.library.progress.failed, icon: CircleAlert },
  { name: "trouble", value: "silent", label: m.library.trouble.silent, icon: VolumeX },
  { name: "trouble", value: "black", label: m.library.trouble.black, icon: TriangleAlert },
  { name: "trouble", value: "frozen", label: m.library.trouble.frozen, icon: TriangleAlert },
  { name: "trouble", value: "gaps", label: m.library.trouble.gaps, icon: TriangleAlert },
  { name: "trouble", value: "recovered", label: m.library.trouble.recovered, icon: TriangleAlert },
];

function Filters({ filter, channels, tags, onChange }: FilterProps) {
  const dates = useId();
  const turned = !!filter.from && !!filter.to && filter.to < filter.from;
  const list = (title: string, entries: readonly Entry[]) => (
    <Group title={title}>
      <ul className="flex flex-col gap-px">
        {entries.map((entry) => (
          <li key={`${entry.name} ${entry.value}`}>
            <Row
              {...entry}
              on={filter[entry.name] === entry.value}
              onToggle={(on) => onChange(entry.name, on ? entry.value : "")}
            />
          </li>
        ))}
      </ul>
    </Group>
  );
  return (
    <div className="flex flex-col gap-4">
      {list(m.library.show, SHOW)}
      {list(m.library.seen, SEEN)}
      {list(m.library.look, LOOK)}
      {tags.length > 0 && (
        <Group title={m.library.tags}>
          <ul className="flex flex-wrap gap-1.5 px-2 pt-1">
            {tags.map((tag) => (
              <li key={tag} className="max-w-full">
                <button
                  type="button"
                  aria-pressed={filter.tag === tag}
                  onClick={() => onChange("tag", filter.tag === tag ? "" : tag)}
                  className={cn(
                    "block h-7 max-w-full truncate rounded-full border border-line px-2.5 text-dense hover:border-line-2 max-tablet:h-10",
                    filter.tag === tag && "border-transparent bg-water-soft font-control text-water-2",
                  )}
                >
                  {tag}
                </button>
              </li>
            ))}
          </ul>
        </Group>
      )}
      <Group title={m.library.when}>
        <div className="grid gap-2 px-2 pt-1">
          {(["from", "to"] as const).map((name) => (
            <div key={name}>
              <label htmlFor={`${dates}-${name}`} className="mb-[5px] block text-caption text-ink-2">
                {m.library[name]}
              </label>
              <input
                id={`${dates}-${name}`}
                type="date"
                value={filter[name] ?? ""}
                aria-invalid={turned || undefined}
                aria-describedby={turned ? `${dates}-wrong` : undefined}
                onChange={(event) => onChange(name, event.target.value)}
                className={cn(inputClass(turned), "px-2 text-dense")}
              />
            </div>
          ))}
          {turned && (
            <p id={`${dates}-wrong`} role="status" className="text-caption text-danger">
              {m.library.turned}
            </p>
          )}
        </div>
      </Group>
      {channels.length > 1 && (
        <div className="px-2">
          <Choice
            label={m.library.channels}
            value={filter.channel ?? ""}
            options={[
              { value: "", label: m.library.allChannels },
              ...channels.map((name) => ({ value: name, label: `@${name}` })),
            ]}
            onChange={(value) => onChange("channel", value)}
          />
        </div>
      )}
    </div>
  );
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <h2 className="px-2 pb-1 text-caption text-ink-3">{title}</h2>
      {children}
    </section>
  );
}

function Row({ label, icon: Icon, on, onToggle }: Entry & { on: boolean; onToggle: (on: boolean) => void }) {
  return (
    <button
      type="button"
      aria-pressed={on}
      onClick={() => onToggle(!on)}
      className={cn(
        "flex h-[30px] w-full items-center gap-2.5 rounded-control px-2 text-left text-ink-2 state-motion hover:bg-hover max-tablet:h-11",
        on && "bg-water-soft font-control text-water-2 hover:bg-water-soft",
      )}
    >
      <Icon aria-hidden className="size-[15px] shrink-0" strokeWidth={1.75} />
      <span className="truncate">{label}</span>
    </button>
  );
}

/** Beside the clips, on wide pages. */
export function FilterRail({ children, ...filters }: FilterProps & { children?: ReactNode }) {
  return (
    <aside
      aria-label={m.library.filters}
      className="sticky top-0 flex h-[calc(100dvh-52px)] w-[228px] shrink-0 flex-col overflow-y-auto border-r border-line bg-surface px-2 py-4 max-laptop:hidden"
    >
      <div className="flex-1">
        <Filters {...filters} />
      </div>
      {children}
    </aside>
  );
}

/** The button that opens them as a sheet, on pages without room; F opens it as well. */
export function FilterSheet({ children, ...filters }: FilterProps & { children?: ReactNode }) {
  const [open, setOpen] = useState(false);
  useKeys({ f: () => setOpen(true) });
  return (
    <>
      <Button onClick={() => setOpen(true)} className="laptop:hidden max-tablet:h-11">
        <SlidersHorizontal aria-hidden className="size-[15px]" strokeWidth={1.75} />
        {m.library.filters}
      </Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={m.library.filters}>
        <Filters {...filters} />
        {children}
        <div className="mt-4 flex justify-end">
          <Button variant="water" onClick={() => setOpen(false)}>
            {m.library.showThem}
          </Button>
        </div>
      </Dialog>
    </>
  );
}
