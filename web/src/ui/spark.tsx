import { cn } from "./cn";

/** Two minutes at one value a second, newest at the right. `target` is a dashed line. Summarised in words by the gauge. */
export function Spark({
  values,
  target,
  ceiling,
  history,
  warn = false,
  className,
}: {
  values: readonly (number | null)[];
  target?: number | undefined;
  /** The top of the scale when all values are below it. */
  ceiling: number;
  history: number;
  warn?: boolean;
  className?: string;
}) {
  const known = values.filter((value): value is number => value !== null);
  const top = Math.max(ceiling, ...known) * 1.06;
  const height = 36;
  const width = 240;
  const x = (index: number) => width - ((values.length - 1 - index) * width) / (history - 1);
  const y = (value: number) => height - 1 - (value / top) * (height - 3);
  const points = values.flatMap((value, index) =>
    value === null ? [] : [`${x(index).toFixed(1)} ${y(value).toFixed(1)}`],
  );
  const first = values.findIndex((value) => value !== null);
  return (
    <svg
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      className={cn("block h-9 w-full overflow-visible", className)}
    >
      <path
        className="stroke-line"
        strokeWidth={1}
        vectorEffect="non-scaling-stroke"
        d={`M0 ${height - 0.5}H${width}`}
      />
      {points.length > 1 && (
        <>
          <path
            className={warn ? "fill-warn-soft" : "fill-water-soft"}
            d={`M${x(first).toFixed(1)} ${height}L${points.join("L")}L${width} ${height}Z`}
          />
          <path
            className={cn("fill-none", warn ? "stroke-warn" : "stroke-water")}
            strokeWidth={1.75}
            strokeLinejoin="round"
            vectorEffect="non-scaling-stroke"
            d={`M${points.join("L")}`}
          />
        </>
      )}
      {target !== undefined && (
        <path
          className="stroke-line-2"
          strokeWidth={1}
          strokeDasharray="2 3"
          vectorEffect="non-scaling-stroke"
          d={`M0 ${y(target).toFixed(1)}H${width}`}
        />
      )}
    </svg>
  );
}
