// The list of addresses. Every page is a script of its own, so that the first one is small.
import { lazy, Suspense } from "react";
import { Route, Routes } from "react-router";
import { HomePage } from "@/pages/home";

const WatchPage = lazy(() => import("@/pages/watch"));
const StudioPage = lazy(() => import("@/pages/studio"));
const LibraryPage = lazy(() => import("@/pages/library"));
const NotFoundPage = lazy(() => import("@/pages/not-found"));

export function Pages() {
  return (
    <Suspense fallback={null}>
      <Routes>
        <Route index element={<HomePage />} />
        <Route path="studio" element={<StudioPage />} />
        <Route path="library" element={<LibraryPage />} />
        <Route path="c/:clip" element={<LibraryPage />} />
        {/* The router has no "/@:channel"; the watch page itself refuses what has no @. */}
        <Route path=":handle" element={<WatchPage />} />
        <Route path="*" element={<NotFoundPage />} />
      </Routes>
    </Suspense>
  );
}
