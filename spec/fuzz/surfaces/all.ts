import type { Surface } from '../surface.js';
import { codecs } from './codecs.js';
import { files } from './files.js';
import { fragments } from './fragments.js';
import { frames } from './frames.js';
import { login } from './login.js';
import { segment } from './segment.js';

export const SURFACES: Readonly<Record<string, Surface>> = {
  login,
  frames,
  segment,
  files,
  codecs,
  fragments,
};
