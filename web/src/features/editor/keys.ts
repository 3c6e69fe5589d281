// The editor's keys. Single keys are off while typing; those with Ctrl work everywhere but undo, which a text field has of its own.
import { useEffect, useRef } from "react";
import { m } from "@/messages";
import { useKeys } from "@/ui/hooks";
import type { Edge } from "./range";
import type { Transport } from "./transport";

export const KEYS = [
  ["J K L", m.editor.keys.shuttle],
  ["Space", m.editor.keys.play],
  ["\u2190 \u2192", m.editor.keys.frame],
  ["Shift + \u2190 \u2192", m.editor.keys.second],
  ["I O", m.editor.keys.set],
  ["Shift + I O", m.editor.keys.jump],
  ["\u2191 \u2193", m.editor.keys.points],
  ["Home End", m.editor.keys.ends],
  ["M", m.editor.keys.mute],
  ["+ \u2212", m.editor.keys.zoom],
  ["\\", m.editor.keys.fit],
  ["Ctrl + Z", m.editor.keys.undo],
  ["Ctrl + Shift + Z", m.editor.keys.redo],
  ["Ctrl + S", m.editor.keys.save],
  ["Ctrl + Enter", m.editor.keys.publish],
] as const;

export type Commands = {
  set: (edge: Edge) => void;
  jump: (edge: Edge) => void;
  point: (direction: 1 | -1) => void;
  end: (which: "start" | "end") => void;
  zoom: (direction: 1 | -1) => void;
  fit: () => void;
  undo: () => void;
  redo: () => void;
  save: () => void;
  publish: () => void;
};

export function useEditorKeys(transport: Transport, commands: Commands): void {
  const step = (direction: 1 | -1) => (event: KeyboardEvent) => {
    if (event.shiftKey) transport.leap(direction * 1_000);
    else transport.step(direction);
  };
  const edge = (which: Edge) => (event: KeyboardEvent) =>
    event.shiftKey ? commands.jump(which) : commands.set(which);
  useKeys({
    " ": () => transport.toggle(),
    j: () => transport.shuttle("j"),
    k: () => transport.shuttle("k"),
    l: () => transport.shuttle("l"),
    i: edge("in"),
    o: edge("out"),
    m: () => transport.mute(),
    arrowleft: step(-1),
    arrowright: step(1),
    arrowup: () => commands.point(-1),
    arrowdown: () => commands.point(1),
    home: () => commands.end("start"),
    end: () => commands.end("end"),
    "+": () => commands.zoom(1),
    "=": () => commands.zoom(1),
    "-": () => commands.zoom(-1),
    "\\": commands.fit,
  });
  const latest = useRef(commands);
  latest.current = commands;
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.defaultPrevented) return;
      const key = event.key.toLowerCase();
      const typing =
        event.target instanceof HTMLElement && event.target.closest("input:not([type=radio]), textarea");
      if (key === "z" && typing) return;
      const { undo, redo, save, publish } = latest.current;
      const command = { z: event.shiftKey ? redo : undo, y: redo, s: save, enter: publish }[key];
      if (!command) return;
      event.preventDefault();
      command();
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, []);
}
