import { KeyRound } from "lucide-react";
import { type FormEvent, useRef, useState } from "react";
import { RequestError, useSignIn } from "@/api/queries";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Field } from "@/ui/field";
import { Logo } from "@/ui/logo";

const WORDS = {
  studio: [m.studio.keyTitle, m.studio.keyText, m.studio.keyOpen],
  operator: [m.studio.operatorTitle, m.studio.operatorText, m.studio.operatorOpen],
} as const;

/** Swaps the stream key for a cookie. */
export function KeyForm({ purpose, failed }: { purpose: keyof typeof WORDS; failed: string | undefined }) {
  const [title, text, open] = WORDS[purpose];
  const [key, setKey] = useState("");
  const [error, setError] = useState(failed);
  const form = useRef<HTMLFormElement>(null);
  const signIn = useSignIn();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (key.trim() === "") {
      setError(m.studio.keyMissing);
      form.current?.querySelector("input")?.focus();
      return;
    }
    signIn.mutate(key.trim(), {
      onError: (cause) => {
        setError(keyError(cause));
        form.current?.querySelector("input")?.focus();
      },
    });
  };
  return (
    <main id="content" className="grid flex-1 place-items-center px-3.5 py-12">
      <form ref={form} onSubmit={submit} noValidate className="w-full max-w-[380px]">
        <Logo className="mb-5 h-9 w-12" />
        <h1 className="text-page">{title}</h1>
        <p className="mt-1.5 mb-5 text-reading text-ink-2">{text}</p>
        <Field
          label={m.studio.keyLabel}
          type="password"
          name="stream-key"
          autoComplete="current-password"
          spellCheck={false}
          value={key}
          error={error}
          onChange={(event) => {
            setKey(event.target.value);
            setError(undefined);
          }}
        />
        <Button type="submit" variant="water" className="mt-4 w-full" disabled={signIn.isPending}>
          <KeyRound aria-hidden className="size-[15px]" strokeWidth={1.75} />
          {open}
        </Button>
      </form>
    </main>
  );
}

export function keyError(cause: unknown): string {
  const code = cause instanceof RequestError ? cause.failure.code : "network";
  if (code === "bad_key" || code === "invalid") return m.studio.keyWrong;
  if (code === "rate_limited") return m.studio.keyTooOften;
  return m.studio.keyFailed;
}
