import { cn } from "./cn";

const COLOURS = [
  "bg-avatar-1",
  "bg-avatar-2",
  "bg-avatar-3",
  "bg-avatar-4",
  "bg-avatar-5",
  "bg-avatar-6",
] as const;

/** A channel's pebble: always the same colour for the same name. */
export function Avatar({ name, small = false }: { name: string; small?: boolean }) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 997;
  const words = name.split("-").filter(Boolean);
  const letters = words.length > 1 ? `${words[0]?.[0] ?? ""}${words[1]?.[0] ?? ""}` : name.slice(0, 2);
  return (
    <span
      aria-hidden
      className={cn(
        "pebble inline-grid shrink-0 place-items-center font-heading text-on-live uppercase",
        small ? "size-[26px] text-caption" : "size-9 text-dense",
        COLOURS[sum % COLOURS.length],
      )}
    >
      {letters}
    </span>
  );
}
