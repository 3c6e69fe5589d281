// The media-chrome elements the pages use, each registered by its own import, and how JSX knows them.
// A control outside its controller is linked by `mediacontroller="<id>"`; the controller stands before it in the document.
import "media-chrome/media-controller.js";
import "media-chrome/media-play-button.js";
import "media-chrome/media-mute-button.js";
import "media-chrome/media-volume-range.js";
import "media-chrome/media-pip-button.js";
import "media-chrome/media-fullscreen-button.js";
import "media-chrome/media-time-range.js";
import type { HTMLAttributes, Ref } from "react";

type Base = HTMLAttributes<HTMLElement> & { ref?: Ref<HTMLElement>; class?: string };
type Control = Base & { mediacontroller?: string };

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "media-controller": Base & {
        nohotkeys?: boolean;

        gesturesdisabled?: boolean;
      };
      "media-play-button": Control;
      "media-mute-button": Control;
      "media-volume-range": Control;
      "media-pip-button": Control;
      "media-fullscreen-button": Control;
      "media-time-range": Control;
    }
  }
}

/** What goes full screen: the frame with picture and deck, not the picture alone. */
export function setTheatre(controller: string, frame: HTMLElement | null): void {
  const element = frame?.querySelector<HTMLElement & { fullscreenElement?: HTMLElement }>(`#${controller}`);
  if (element && frame) element.fullscreenElement = frame;
}
