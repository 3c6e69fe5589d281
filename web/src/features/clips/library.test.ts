import { describe, expect, it } from "vitest";
import { chipsOf, queryOf, readFilter, withFilter } from "./filter";
import { all, NOTHING, only, toggle } from "./select";

describe("filters", () => {
  it("come from the address and go to the server", () => {
    const filter = readFilter(
      new URLSearchParams(
        "q= drum &channel=main&from=2026-11-20&to=2026-11-20&trouble=silent&pinned=yes&tag=a b",
      ),
    );
    const start = new Date(2026, 10, 20).getTime();
    expect(queryOf(filter)).toEqual({
      text: "drum",
      channel: "main",
      from: start,
      to: new Date(2026, 10, 21).getTime(),
      trouble: "silent",
      pinned: true,
      tag: "a b",
    });
  });

  it("what nobody could have chosen is passed over", () => {
    const search = new URLSearchParams(
      "visibility=secret&trouble=&from=2026-02-30&to=yesterday&state=stored&x=1",
    );
    expect(readFilter(search)).toEqual({});
    expect(withFilter(search, "tag", "drums").get("x")).toBe("1");
    expect(withFilter(new URLSearchParams("tag=drums"), "tag", "").toString()).toBe("");
  });

  it("a chip says each of them", () => {
    const chips = chipsOf({ q: "drum", tag: "modular", visibility: "published", broadcast: "01" }, "Evening");
    expect(chips.map((chip) => chip.name)).toEqual(["q", "broadcast", "tag", "visibility"]);
    expect(chips.map((chip) => chip.what)).toEqual(["Text: drum", "Evening", "Tag: modular", "Published"]);
  });
});

describe("selection", () => {
  const order = ["a", "b", "c", "d", "e"];
  const ids = (selection: { ids: ReadonlySet<string> }) => [...selection.ids].sort().join("");

  it("one by one, and a range from the last one", () => {
    let selection = toggle(NOTHING, "b", order);
    selection = toggle(selection, "d", order, true);
    expect(ids(selection)).toBe("bcd");
    // The range begins where it began.
    expect(ids(toggle(selection, "a", order, true))).toBe("abcd");
    selection = toggle(selection, "c", order);
    expect(ids(selection)).toBe("bd");
    // Taking one away makes a range take away.
    expect(ids(toggle(selection, "e", order, true))).toBe("b");
  });

  it("a range without a beginning is one", () => {
    expect(ids(toggle(NOTHING, "c", order, true))).toBe("c");
    expect(ids(toggle({ ids: new Set(["x"]), anchor: "x" }, "c", order, true))).toBe("cx");
  });

  it("what has gone from the page is not chosen any more", () => {
    const selection = all(order);
    expect(ids(selection)).toBe("abcde");
    expect(ids(only(selection, ["b", "e"]))).toBe("be");
    expect(only(selection, order)).toBe(selection);
  });
});
