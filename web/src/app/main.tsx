import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { createQueryClient } from "@/api/queries";
import { Toasts } from "@/ui/toast";
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
