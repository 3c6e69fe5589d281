import { Component, type ErrorInfo, type ReactNode } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Empty } from "@/ui/state";

/** Catches what a page could not: says what is safe and offers to load again. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidCatch(error: Error, info: ErrorInfo) {
    // A deploy takes the old scripts away; reporting anything else is the browser console's.
    reportError(new Error(`${error.message}\n${info.componentStack ?? ""}`));
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <main id="content">
        <Empty level={1} title={m.broken.title} text={m.broken.text}>
          <Button variant="water" onClick={() => location.reload()}>
            {m.broken.reload}
          </Button>
        </Empty>
      </main>
    );
  }
}
