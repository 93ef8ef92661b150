// Opens pages in a headless Chromium as readers do, and tells what is wrong with them.
//
//   node look.mjs < {"chromium": path, "axe": path, "views": [{"page": path, "width": px, "dark": bool, "picture": path}]}
//
// Prints one JSON list, an object a view: requests beyond the page itself, pixels that stick out, what axe-core finds,
// what the console said.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const { chromium, axe, views } = JSON.parse(readFileSync(0, "utf8"));
const checker = readFileSync(axe, "utf8");
const browser = await puppeteer.launch({
  executablePath: chromium,
  // A sandbox needs rights that a container's root may lack; only our own page is opened.
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-device-scale-factor=1"],
});
const seen = [];
try {
  for (const view of views) {
    const page = await browser.newPage();
    const address = pathToFileURL(view.page).href;
    const requests = [], said = [];
    page.on("request", (request) => request.url() === address || requests.push(request.url()));
    page.on("console", (message) => said.push(message.text()));
    page.on("pageerror", (error) => said.push(String(error)));
    await page.setViewport({ width: view.width, height: 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: view.dark ? "dark" : "light" }]);
    await page.goto(address, { waitUntil: "load" });
    await page.screenshot({ path: view.picture, fullPage: true });
    // What is folded away is looked at as well.
    await page.$$eval("details", (all) => all.forEach((one) => (one.open = true)));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    await page.evaluate(checker);
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    const violations = found.violations.map(({ id, help, nodes }) => ({
      id, help, nodes: nodes.slice(0, 5).map((node) => node.html + " " + node.failureSummary),
    }));
    seen.push({ requests, said, overflow, violations, title: await page.title() });
    await page.close();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
