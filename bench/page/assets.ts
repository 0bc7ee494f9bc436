/** The programs and styles that a page has in itself: those of uPlot, and ours beside this file. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export interface Assets {
  /** Programs, in the order in which they run. */
  readonly scripts: readonly string[];
  readonly styles: readonly string[];
}

const SOURCES = new URL('../../../bench/page/', import.meta.url);

/** Throws where uPlot is not installed. */
export function readAssets(): Assets {
  const { resolve } = createRequire(import.meta.url);
  const uplot = (name: string): string => readFileSync(resolve(`uplot/dist/${name}`), 'utf8');
  const own = (name: string): string => readFileSync(new URL(name, SOURCES), 'utf8');
  return {
    scripts: [uplot('uPlot.iife.min.js'), own('draw.js')],
    styles: [uplot('uPlot.min.css'), own('page.css')],
  };
}
