import { Camera, ChevronDown, Mic, MicOff, Monitor } from "lucide-react";
import { type ReactNode, useEffect, useRef, useSyncExternalStore } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { studio } from "./session";
import type { Device } from "./sources";

const ICON = { className: "size-[15px] shrink-0", strokeWidth: 1.75, "aria-hidden": true } as const;

/** Camera, microphone and screen: what is chosen, and what it gives. Changing one on air replaces the track. */
export function SourceCards() {
  const sources = studio.sources;
  const view = useSyncExternalStore(sources.view.subscribe, sources.view.snapshot);
  const settings = view.video?.getSettings();
  const picture =
    settings?.width && settings.height
      ? m.studio.size(settings.width, settings.height, Math.round(settings.frameRate ?? 0))
      : "";
  return (
    <section
      aria-label={m.studio.sources}
      className="grid grid-cols-2 gap-2 tablet:grid-cols-3 tablet:gap-2.5"
    >
      <Card icon={<Camera {...ICON} />} label={m.studio.camera} hint={view.sharing ? "" : picture}>
        <Picker
          label={m.studio.camera}
          none={m.studio.noCamera}
          value={view.camera}
          devices={named(view.cameras, m.studio.unnamedCamera)}
          onChoose={(id) => void sources.chooseCamera(id)}
        />
      </Card>
      <Card
        icon={view.muted ? <MicOff {...ICON} /> : <Mic {...ICON} />}
        label={view.muted ? m.studio.muted : m.studio.microphone}
        aside={
          view.audio && (
            <button
              type="button"
              aria-pressed={view.muted}
              title={`${view.muted ? m.studio.unmuteMic : m.studio.muteMic} (Shift+M)`}
              aria-label={m.studio.muteMic}
              onClick={() => sources.setMuted(!view.muted)}
              className="relative z-[1] -my-1 grid size-6 place-items-center rounded-picture text-ink-2 hover:bg-hover max-tablet:-my-3 max-tablet:-mr-2 max-tablet:size-10"
            >
              {view.muted ? <MicOff {...ICON} className="size-[15px] text-warn" /> : <Mic {...ICON} />}
            </button>
          )
        }
      >
        <Picker
          label={m.studio.microphone}
          none={m.studio.noMicrophone}
          value={view.microphone}
          devices={named(view.microphones, m.studio.unnamedMicrophone)}
          onChoose={(id) => void sources.chooseMicrophone(id)}
        />
        <Level active={view.audio !== null && !view.muted} />
      </Card>
      <Card
        className="max-tablet:col-span-2"
        icon={<Monitor {...ICON} />}
        label={m.studio.screen}
        hint={view.sharing ? `${m.studio.shared}${picture ? ` · ${picture}` : ""}` : m.studio.replaces}
      >
        <div className="flex items-center justify-between gap-2">
          <span className={cn("truncate font-control", !view.sharing && "text-ink-2")}>
            {view.sharing ? m.studio.screen : m.studio.notShared}
          </span>
          <Button
            size="dense"
            variant="quiet"
            className="-my-1 -mr-1.5 h-7 px-1.5 text-water"
            onClick={() => (view.sharing ? sources.stopScreen() : void sources.shareScreen())}
          >
            {view.sharing ? m.studio.stopSharing : m.studio.share}
          </Button>
        </div>
      </Card>
    </section>
  );
}

function named(devices: readonly Device[], name: (n: number) => string): Device[] {
  return devices.map((device, index) => ({ id: device.id, name: device.name || name(index + 1) }));
}

function Card({
  icon,
  label,
  hint,
  aside,
  className,
  children,
}: {
  icon: ReactNode;
  label: string;
  hint?: string;
  aside?: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  return (
    <div
      className={cn(
        "relative min-w-0 rounded-control border border-line bg-raised px-[11px] pt-2 pb-[9px] focus-within:border-line-2",
        className,
      )}
    >
      <div className="flex items-center gap-[7px] text-caption text-ink-3">
        {icon}
        <span className="flex-1">{label}</span>
        {aside}
      </div>
      <div className="mt-0.5">{children}</div>
      {hint !== undefined && <p className="num mt-[5px] min-h-4 truncate text-caption text-ink-3">{hint}</p>}
    </div>
  );
}

function Picker({
  label,
  none,
  value,
  devices,
  onChoose,
}: {
  label: string;
  none: string;
  value: string | null;
  devices: readonly Device[];
  onChoose: (id: string | null) => void;
}) {
  return (
    <div className="relative flex items-center">
      <select
        aria-label={label}
        value={value ?? ""}
        onChange={(event) => onChoose(event.target.value || null)}
        className="h-6 w-full min-w-0 cursor-pointer appearance-none truncate rounded-picture bg-raised pr-5 font-control text-ink max-tablet:h-10 max-tablet:text-[16px]"
      >
        <option value="">{none}</option>
        {devices.map((device) => (
          <option key={device.id} value={device.id}>
            {device.name}
          </option>
        ))}
      </select>
      <ChevronDown {...ICON} className="pointer-events-none absolute right-0 size-[15px]" />
    </div>
  );
}

/** The peak meter: 60 decibels wide, with a tick where speech should reach. Drawn outside React. */
function Level({ active }: { active: boolean }) {
  const meter = useRef<HTMLDivElement>(null);
  const fill = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!active) {
      if (fill.current) fill.current.style.transform = "scaleX(0)";
      meter.current?.setAttribute("aria-valuenow", "-60");
      return;
    }
    let peak = 0;
    let spoken = 0;
    const timer = setInterval(() => {
      peak = Math.max(studio.sources.level(), peak - 0.03);
      if (fill.current) fill.current.style.transform = `scaleX(${peak.toFixed(3)})`;
      spoken += 1;
      if (spoken % 20 === 0) meter.current?.setAttribute("aria-valuenow", String(Math.round(peak * 60 - 60)));
    }, 50);
    return () => clearInterval(timer);
  }, [active]);
  return (
    // biome-ignore lint/a11y/useSemanticElements: <meter> cannot be drawn outside React without laying out the page
    <div
      ref={meter}
      role="meter"
      aria-label={m.studio.heard}
      aria-valuemin={-60}
      aria-valuemax={0}
      aria-valuenow={-60}
      className="relative mt-[7px] mb-[8px] h-1.5 rounded-full bg-line"
    >
      <div className="absolute inset-0 overflow-hidden rounded-full">
        <div ref={fill} className="size-full origin-left scale-x-0 bg-water" />
      </div>
      <span aria-hidden className="absolute -top-px left-[74%] h-2 w-0.5 bg-ink-2" />
    </div>
  );
}
