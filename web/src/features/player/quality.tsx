// Which size of the picture is played. Absent where there is only one.
import { useState } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Menu, MenuChoices } from "@/ui/menu";

type Props = {
  /** The largest first. */
  heights: readonly number[];
  /** Null: the best that the network carries. */
  quality: number | null;
  onQuality: (height: number | null) => void;
};

const AUTO = "auto";

export function QualityMenu({ heights, quality, onQuality }: Props) {
  const [theatre, setTheatre] = useState<HTMLElement | null>(null);
  if (heights.length < 2) return null;
  // A size that is not sent at the moment stays chosen: the next smaller one is played meanwhile.
  const sizes = quality === null || heights.includes(quality) ? heights : [quality, ...heights];
  const label = (height: number | null) =>
    height === null ? m.watch.qualityAuto : m.watch.qualityOf(height);
  const choices = [null, ...[...sizes].sort((a, b) => b - a)].map((height) => ({
    value: height === null ? AUTO : String(height),
    label: label(height),
  }));
  return (
    <Menu
      within={theatre}
      trigger={
        <Button
          ref={(button) => setTheatre(button?.closest<HTMLElement>(".theatre") ?? null)}
          size="dense"
          title={m.watch.qualities}
          aria-label={m.watch.qualityIs(label(quality))}
        >
          <span className="num">{label(quality)}</span>
        </Button>
      }
    >
      <MenuChoices
        chosen={quality === null ? AUTO : String(quality)}
        choices={choices}
        onChoose={(value) => onQuality(value === AUTO ? null : Number(value))}
      />
    </Menu>
  );
}
