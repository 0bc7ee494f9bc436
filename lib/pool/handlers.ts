import { isAbsolute } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { HandlerName } from './protocol.js';

/** What runs tasks: a function that a module exports. */
export type Handler = (task: unknown) => unknown;

/** Loads the function that is meant, in this thread, as piscina does. Throws what loading throws, and when there is none. */
export async function loadHandler({ filename, name }: HandlerName): Promise<Handler> {
  const module = (await import(urlOf(filename))) as Record<string, unknown> & { readonly default?: unknown };
  const main = module.default as { readonly default?: unknown } | Handler | null | undefined;
  // What a CommonJS module exports is the default.
  const named =
    name === 'default'
      ? undefined
      : (module[name] ?? (main as Record<string, unknown> | null | undefined)?.[name]);
  const nested = typeof main === 'object' ? main?.default : undefined;
  for (const candidate of [named, main, nested])
    if (typeof candidate === 'function') return candidate as Handler;
  throw new Error(`No handler function exported from ${filename}`);
}

/** A file as piscina takes it, by path or URL, as a path where it is one. */
export function fileOf(filename: string | URL): string {
  const text = String(filename);
  return text.startsWith('file:') ? fileURLToPath(text) : text;
}

function urlOf(filename: string): string {
  return isAbsolute(filename) ? pathToFileURL(filename).href : filename;
}
