// Nothing is left of all the filters: says which of them to drop.
import { useWithout } from "@/api/library";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Empty } from "@/ui/state";
import { chipsOf, type Filter, type Name, queryOf } from "./filter";

export function NoMatch({
  filter,
  broadcastTitle,
  onDrop,
  onDropAll,
}: {
  filter: Filter;
  broadcastTitle: string | undefined;
  onDrop: (name: Name) => void;
  onDropAll: () => void;
}) {
  const chips = chipsOf(filter, broadcastTitle);
  // For each filter: what there would be without it. One filter alone needs no asking.
  const without = useWithout(
    chips.length > 1 ? chips.map(({ name }) => queryOf({ ...filter, [name]: undefined })) : [],
  );
  const helpful = chips.filter((_, at) => without[at]);
  return (
    <Empty
      title={filter.q !== undefined ? m.library.noMatch(filter.q) : m.library.noMatchFilter}
      text={helpful.length > 0 ? m.library.noMatchDrop : ""}
    >
      {helpful.map(({ name, what }) => (
        <Button key={name} onClick={() => onDrop(name)}>
          {m.library.drop(what)}
        </Button>
      ))}
      <Button onClick={onDropAll}>{m.library.dropFilter}</Button>
    </Empty>
  );
}
