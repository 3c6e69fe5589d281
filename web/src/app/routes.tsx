// The list of addresses. Every page is a script of its own, so that the first one is small.
import { lazy, Suspense, useEffect } from "react";
import { Route, Routes } from "react-router";
import { HomePage } from "@/pages/home";

const watch = () => import("@/pages/watch");
const WatchPage = lazy(watch);
const StudioPage = lazy(() => import("@/pages/studio"));
const LibraryPage = lazy(() => import("@/pages/library"));
const BroadcastPage = lazy(() => import("@/pages/broadcast"));
const EditorPage = lazy(() => import("@/pages/editor"));
const ConnectionsPage = lazy(() => import("@/pages/connections"));
const WebhooksPage = lazy(() => import("@/pages/webhooks"));
const NotFoundPage = lazy(() => import("@/pages/not-found"));

/** Whoever is here is likely to watch something next: that page's scripts come while nothing else is going on. */
function usePreparedWatch(): void {
  useEffect(() => {
    const timer = setTimeout(() => void watch().catch(() => {}), 1_500);
    return () => clearTimeout(timer);
  }, []);
}

export function Pages() {
  usePreparedWatch();
  return (
    <Suspense fallback={null}>
      <Routes>
        <Route index element={<HomePage />} />
        <Route path="studio" element={<StudioPage />} />
        <Route path="library" element={<LibraryPage />} />
        <Route path="library/clips/:clip" element={<EditorPage />} />
        <Route path="connections" element={<ConnectionsPage />} />
        <Route path="webhooks" element={<WebhooksPage />} />
        <Route path="b/:broadcast" element={<BroadcastPage />} />
        <Route path="c/:clip" element={<LibraryPage />} />
        {/* The router has no "/@:channel"; the watch page itself refuses what has no @. */}
        <Route path=":handle" element={<WatchPage />} />
        <Route path="*" element={<NotFoundPage />} />
      </Routes>
    </Suspense>
  );
}
