let seen;
new EventSource("/events-stream").onmessage = async (change) => {
  if (seen !== undefined && seen !== change.data) {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const [old, fresh] = [document.getElementById("live"), page.getElementById("live")];
    const stops = (part) => [...part.querySelectorAll("a,[tabindex]")];
    const focused = stops(old).indexOf(document.activeElement);
    if (fresh) old.replaceWith(fresh);
    if (fresh && focused >= 0) stops(fresh)[focused]?.focus();
  }
  seen = change.data;
};
