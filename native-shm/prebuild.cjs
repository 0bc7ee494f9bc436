/**
 * Copies build/Release/tcpshm.node to where node-gyp-build looks for it in an installed package. Its name says the C
 * library: prebuilds/linux-x64/tcpshm.glibc.node.
 */
const { copyFileSync, mkdirSync } = require('node:fs');
const { join } = require('node:path');

const { glibcVersionRuntime } = process.report.getReport().header;
const libc = glibcVersionRuntime === undefined ? 'musl' : 'glibc';
const folder = join(__dirname, 'prebuilds', `${process.platform}-${process.arch}`);

mkdirSync(folder, { recursive: true });
copyFileSync(join(__dirname, 'build', 'Release', 'tcpshm.node'), join(folder, `tcpshm.${libc}.node`));
