import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { createQueryClient } from "@/api/queries";
import { m } from "@/messages";
import { LEFT } from "@/rtc/on-air";
import { Toasts, toast } from "@/ui/toast";
import { ErrorBoundary } from "./error-boundary";
import { Pages } from "./routes";
import { Shell } from "./shell";
import "@/ui/index.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");

createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={createQueryClient()}>
      <BrowserRouter>
        <Shell>
          <ErrorBoundary>
            <Pages />
          </ErrorBoundary>
        </Shell>
        <Toasts />
      </BrowserRouter>
    </QueryClientProvider>
  </StrictMode>,
);

/** This tab was on air when its page was loaded anew, on whatever page of ours. */
async function comeBack(): Promise<void> {
  const { studio } = await import("@/features/studio/session");
  const { wentOn } = await studio.comeBack();
  if (wentOn) toast({ text: m.studio.wentOn });
}

try {
  if (sessionStorage.getItem(LEFT) !== null) void comeBack();
} catch {
  // Where storage is forbidden nothing was kept.
}
