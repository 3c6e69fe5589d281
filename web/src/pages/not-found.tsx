import { Link } from "react-router";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { useTitle } from "@/ui/hooks";
import { Empty } from "@/ui/state";

export default function NotFoundPage() {
  useTitle(m.app.title(m.notFound.title));
  return (
    <main id="content">
      <Empty level={1} title={m.notFound.title} text={m.notFound.text}>
        <Button asChild variant="water">
          <Link to="/">{m.notFound.home}</Link>
        </Button>
      </Empty>
    </main>
  );
}
