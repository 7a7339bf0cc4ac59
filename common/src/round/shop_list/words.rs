//! The words of phrases: one a byte. They are common, differ in their first four letters, and no two are one letter apart.

/// 256 words, in alphabetical order.
pub(super) const WORDS: &str = "\
acorn actor agent album alley amber angle apple april apron arrow aspen \
atlas attic autumn award bacon badge baker banjo barrel basket beach beaver \
berry bishop blanket blossom bonnet bottle branch brick bridge bronze bucket butter \
cabin cactus camel candle canyon carpet carrot castle cedar celery cellar chapel \
cherry chimney circle citrus clover cobweb coffee comet copper coral cotton cradle \
crayon cricket crystal curtain cymbal daisy dancer december desert diamond dinner dolphin \
donkey dragon drawer driver drummer duchess eagle easel echo elbow eleven emerald \
engine envelope evening fabric falcon farmer feather fiddle finger flannel flower forest \
fossil fountain freckle friday galaxy garden garlic gazelle giant glacier goblet gorilla \
grammar granite guitar harbour harvest helmet hermit heron honey hotel hunter husky \
igloo index island ivory jacket jasmine jelly jewel jigsaw jockey jungle kettle \
kidney kitchen kitten koala ladder lagoon lantern laundry lemon lettuce lily linen \
lizard lobster locket lumber magnet maple marble meadow melon merchant mirror morning \
mosaic mustard napkin needle nephew nickel noodle november nugget oasis ocean october \
olive onion opera orange orchard organ ostrich otter oyster paddle palace panda \
paper pebble pencil pepper piano pigeon pillow pirate planet poplar potato prairie \
pumpkin puzzle quartz queen quilt rabbit radish ranger raven record ribbon robin \
salmon sapphire saturn scarlet seagull shadow sheriff shovel silver sister snail spider \
spinach squirrel stable statue sugar sunday sweater tailor teacher temple thunder ticket \
tiger timber toast tomato tractor trumpet tulip tunnel turkey turtle uncle uniform \
velvet village violin voyage waffle wagon walnut walrus water whisper window winter \
yellow yogurt zebra zipper";
