import { Clapperboard, Moon, Radio, Sun, Video } from "lucide-react";
import { type ReactNode, useEffect, useSyncExternalStore } from "react";
import { Link, NavLink, useLocation, useNavigationType } from "react-router";
import { m } from "@/messages";
import { onAir } from "@/rtc/on-air";
import { Button, IconButton } from "@/ui/button";
import { cn } from "@/ui/cn";
import { Logo } from "@/ui/logo";
import { OfflineBar } from "./offline-bar";
import { useTheme } from "./theme";

const PLACES = [
  { to: "/", label: m.app.live, icon: Radio, is: (path: string) => path === "/" || path.startsWith("/@") },
  { to: "/studio", label: m.app.studio, icon: Video, is: (path: string) => path === "/studio" },
  {
    to: "/library",
    label: m.app.library,
    icon: Clapperboard,
    is: (path: string) => path === "/library" || path.startsWith("/c/") || path.startsWith("/b/"),
  },
];

/** The top bar, the phone's tabs and the offline bar around every page. */
export function Shell({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  const watching = pathname.startsWith("/@");
  // The editor has a bar of its own, and no room for another.
  const editing = pathname.startsWith("/library/clips/");
  useTopOfPage(pathname);
  return (
    <div className={cn("flex min-h-dvh flex-col", !watching && !editing && "max-tablet:pb-[58px]")}>
      <a
        href="#content"
        className="sr-only z-50 rounded-control bg-raised px-3 py-2 font-control focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        {watching ? m.app.skipPlayer : m.app.skip}
      </a>
      {!editing && <TopBar path={pathname} className={watching ? "max-tablet:hidden" : ""} />}
      <OfflineBar />
      {children}
      {!watching && !editing && <Tabs path={pathname} />}
    </div>
  );
}

/** A new page begins at its top; a clip that opens over the library leaves the list where it is. */
function useTopOfPage(pathname: string): void {
  const page = pathname.startsWith("/c/") ? "/library" : pathname;
  const type = useNavigationType();
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a change of page counts
  useEffect(() => {
    if (type !== "POP") window.scrollTo(0, 0);
  }, [page]);
}

function TopBar({ path, className }: { path: string; className: string }) {
  const [theme, flip] = useTheme();
  const sending = useSyncExternalStore(onAir.subscribe, onAir.snapshot);
  return (
    <header
      className={cn(
        "flex h-12 shrink-0 items-center gap-2 border-b border-line bg-surface pr-2 pl-3.5 tablet:h-13 tablet:pr-4 tablet:pl-[18px]",
        className,
      )}
    >
      <Link
        to="/"
        aria-label={m.app.home}
        className="mr-auto flex items-center gap-[9px] text-[18px] font-heading tracking-[-0.025em] tablet:mr-3.5"
      >
        <Logo className="h-6 w-[30px]" />
        {m.app.name}
      </Link>
      <nav aria-label={m.app.main} className="mr-auto hidden h-full items-center gap-0.5 tablet:flex">
        {PLACES.map((place, index) => (
          <span key={place.to} className="contents">
            {index === 1 && <span aria-hidden className="mx-2 h-6 w-px bg-line" />}
            <NavLink
              to={place.to}
              aria-current={place.is(path) ? "page" : undefined}
              className={cn(
                "rounded-control px-[11px] py-1.5 font-control text-ink-2 state-motion hover:bg-hover",
                place.is(path) && "rounded-b-none text-ink shadow-[inset_0_-2px_0_var(--water)]",
              )}
            >
              {place.label}
            </NavLink>
          </span>
        ))}
      </nav>
      <IconButton label={theme === "dark" ? m.app.toLight : m.app.toDark} onClick={flip}>
        {theme === "dark" ? (
          <Sun aria-hidden className="size-[18px]" strokeWidth={1.75} />
        ) : (
          <Moon aria-hidden className="size-[18px]" strokeWidth={1.75} />
        )}
      </IconButton>
      <Button
        asChild
        size="dense"
        variant={sending ? "live" : "outline"}
        className={cn("max-tablet:hidden", path === "/studio" && !sending && "hidden")}
      >
        <Link to="/studio">
          <Radio aria-hidden className="size-[15px]" strokeWidth={1.75} />
          {sending ? m.pill.onAir : m.app.goLive}
        </Link>
      </Button>
    </header>
  );
}

function Tabs({ path }: { path: string }) {
  return (
    <nav
      aria-label={m.app.tabs}
      className="fixed inset-x-0 bottom-0 z-20 grid h-[58px] auto-cols-fr grid-flow-col border-t border-line bg-surface tablet:hidden"
    >
      {PLACES.map(({ to, label, icon: Icon, is }) => (
        <NavLink
          key={to}
          to={to}
          aria-current={is(path) ? "page" : undefined}
          className={cn(
            "grid content-center justify-items-center gap-0.5 text-caption text-ink-2",
            is(path) && "font-heading text-water-2 shadow-[inset_0_2px_0_var(--water)]",
          )}
        >
          <Icon aria-hidden className="size-[18px]" strokeWidth={1.75} />
          {label}
        </NavLink>
      ))}
    </nav>
  );
}
