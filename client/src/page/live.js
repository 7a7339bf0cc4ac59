let seen;
const renew = async () => {
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  const [old, fresh] = [document.getElementById("live"), page.getElementById("live")];
  // The session is over: the door says so.
  if (!fresh) return location.reload();
  const stops = (part) => [...part.querySelectorAll("a,[tabindex]")];
  const focused = stops(old).indexOf(document.activeElement);
  old.replaceWith(fresh);
  if (focused >= 0) stops(fresh)[focused]?.focus();
};
// A program that is gone is shown as gone, and not as it was.
const look = () => renew().catch(() => location.reload());
new EventSource("/events-stream").onmessage = (change) => {
  if (seen !== undefined && seen !== change.data) look();
  seen = change.data;
};
// Some things are wrong by the time that has passed.
setInterval(look, 60000);
