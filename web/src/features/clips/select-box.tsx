import { m } from "@/messages";
import { cn } from "@/ui/cn";

/** The box on a card that chooses it; with Shift, all from the last one. */
export function SelectBox({
  title,
  on,
  onToggle,
}: {
  title: string;
  on: boolean;
  onToggle: (range: boolean) => void;
}) {
  return (
    <label className="absolute top-1 left-1 z-10 grid size-8 cursor-pointer place-items-center max-tablet:size-11">
      <input
        type="checkbox"
        checked={on}
        tabIndex={-1}
        aria-label={m.library.select(title)}
        onChange={(event) => onToggle((event.nativeEvent as MouseEvent).shiftKey === true)}
        className={cn(
          "size-[18px] cursor-pointer appearance-none rounded-picture border border-stage-ink bg-veil",
          "checked:border-water-fill checked:bg-water-fill",
        )}
      />
      {on && (
        <svg aria-hidden viewBox="0 0 18 18" className="pointer-events-none absolute size-[18px]">
          <path
            d="M4.5 9.5l3 3 6-7"
            className="fill-none stroke-on-water"
            strokeWidth={2}
            strokeLinecap="round"
          />
        </svg>
      )}
    </label>
  );
}
