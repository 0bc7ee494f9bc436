/**
 * The other side of `driven.ts`, in a worker or in a child process: a Server, driven by `run`, that sends back what
 * comes.
 */
import { Server } from '../../lib/index.js';
import { farWords, runFar } from '../farServer.js';
import { answer } from '../subjects/exchange.js';
import { WAYS, type Way } from './ways.js';

const [way, cpu, directory, sharedDirectory] = farWords<[Way, string, string, string]>();
const server = new Server({ name: 'bench-echo', directory, sharedDirectory, onMessage: answer });
await runFar(server, cpu, WAYS[way]);
