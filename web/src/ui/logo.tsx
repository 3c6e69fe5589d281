import type { SVGAttributes } from "react";

/** The one drawing: a line with an arc lifted off it. */
export function Logo({ className }: { className?: string }) {
  return (
    <Drawing viewBox="0 0 32 24" strokeWidth={3.2} className={className}>
      <path className="stroke-water" d="M2.5 20.5c5 0 6-3 10-3s4.5 3 8.5 3 4-2 8.5-2" />
      <path className="stroke-kept-line" d="M12.3 11.3C7.6 8.5 9 2.6 16 2.6s8.4 5.9 3.7 8.7" />
    </Drawing>
  );
}

/** The river without arcs, for what is empty. */
export function StillWater({ className }: { className?: string }) {
  return (
    <Drawing viewBox="0 0 220 30" className={className}>
      <path
        className="stroke-water"
        d="M4 20c14 0 18-6 32-6s18 6 32 6 18-6 32-6 18 6 32 6 18-6 32-6 18 6 32 6 12-3 20-4"
        opacity={0.55}
      />
    </Drawing>
  );
}

/** A line that is interrupted and goes on, for slates. */
export function BrokenLine({ className }: { className?: string }) {
  return (
    <Drawing viewBox="0 0 220 30" className={className}>
      <path d="M4 22h74" className="stroke-stage-water" />
      <path d="M92 22h36" className="stroke-stage-ink-2" strokeDasharray="1 9" />
      <path d="M142 22h74" className="stroke-stage-line" />
    </Drawing>
  );
}

function Drawing({ strokeWidth = 3, ...rest }: SVGAttributes<SVGSVGElement>) {
  return <svg fill="none" strokeLinecap="round" strokeWidth={strokeWidth} aria-hidden="true" {...rest} />;
}
