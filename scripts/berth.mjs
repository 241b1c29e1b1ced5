#!/usr/bin/env node
// `npx berth <command> [flags]`
import { runBerth } from './run.mjs'

await runBerth(process.argv.slice(2))
